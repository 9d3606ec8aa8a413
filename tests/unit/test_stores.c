/* test_stores.c - S3 and ModelScope: names, addresses, listings, digests and credentials are read as they are written, and
 * nothing else is believed. */
#include "tests/unit/test.h"

#include "supervisor/job/modelscope.h"
#include "supervisor/job/s3.h"
#include "supervisor/policy/tries.h"

#define SHA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void names_of_buckets_and_prefixes(void **unused) {
    (void) unused;
    struct hold_s3_name n;
    struct hold_err err = { 0 };
    assert_int_equal(hold_s3_name_parse("s3://my-bucket/some/prefix//", &n, &err), 0);
    assert_string_equal(n.bucket, "my-bucket");
    assert_string_equal(n.prefix, "some/prefix/");
    assert_int_equal(hold_s3_name_parse("s3://abc", &n, &err), 0);
    assert_string_equal(n.prefix, "");
    static const char *const wrong[] = { "s3://", "s3://ab", "s3://Abc", "s3://a_b", "s3://-abc", "s3://abc-", "s3://a..b", "s3://abc/../x", "s3://abc//x", "s3://abc/a/./b",
                                         "s3://abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (hold_s3_name_parse(wrong[i], &n, &err) == 0)
            fail_msg("accepted '%s'", wrong[i]);
}

static void the_bucket_stands_where_its_style_says(void **unused) {
    (void) unused;
    static const struct { const char *bucket, *endpoint, *region; enum hold_s3_style style; const char *address; } rows[] = {
        { "abc", "", "eu-west-1", HOLD_S3_AUTO, "https://abc.s3.eu-west-1.amazonaws.com/" },
        { "a.bc", "", "eu-west-1", HOLD_S3_AUTO, "https://s3.eu-west-1.amazonaws.com/a.bc/" },
        { "abc", "", "cn-north-1", HOLD_S3_PATH, "https://s3.cn-north-1.amazonaws.com.cn/abc/" },
        { "abc", "http://minio:9000", "x", HOLD_S3_AUTO, "http://minio:9000/abc/" },
        { "abc", "http://minio:9000", "x", HOLD_S3_VIRTUAL, "http://abc.minio:9000/" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct hold_s3_name name = { 0 };
        char address[200];
        memcpy(name.bucket, rows[i].bucket, strlen(rows[i].bucket));
        assert_true(hold_s3_address(&name, rows[i].endpoint, rows[i].region, rows[i].style, address, sizeof address));
        assert_string_equal(address, rows[i].address);
        assert_false(hold_s3_address(&name, rows[i].endpoint, rows[i].region, rows[i].style, address, 12));
    }
}

struct page {
    struct hold_arena arena;
    struct hold_manifest m;
    bool has_sha256[HOLD_MANIFEST_MAX_FILES];
    char next[HOLD_S3_NEXT_BYTES];
    struct hold_err err;
};

static int read_page(struct page *p, const char *text) {
    *p = (struct page) { .arena = hold_arena_with_max(8 << 20) };
    p->m.files = hold_arena_array(&p->arena, HOLD_MANIFEST_MAX_FILES, sizeof *p->m.files);
    return hold_s3_listing(text, strlen(text), "m/", &p->arena, &p->m, p->has_sha256, p->next, &p->err);
}

static void a_page_gives_paths_sizes_and_the_next_one(void **unused) {
    (void) unused;
    static struct page p;
    assert_int_equal(read_page(&p, "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"http://x/\"><Name>b</Name><IsTruncated>true</IsTruncated>"
                                   "<Contents><Key>m/a&amp;&#228;&#x1F600; b</Key><ETag>&quot;e&quot;</ETag><Size>5000000000</Size><Owner><ID>m/no</ID></Owner></Contents>"
                                   "<Contents><Size>3</Size><ChecksumAlgorithm>SHA256</ChecksumAlgorithm><Key>m/d/c</Key></Contents>"
                                   "<Contents><Size>3</Size><ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType><Key>m/d/e</Key></Contents>"
                                   "<Contents><Key>m/d/</Key><Size>0</Size></Contents><CommonPrefixes/>"
                                   "<NextContinuationToken>t+/=</NextContinuationToken></ListBucketResult>"), 0);
    assert_int_equal(p.m.n_files, 3);
    assert_string_equal(p.m.files[0].path, "a&\xc3\xa4\xf0\x9f\x98\x80 b");
    assert_int_equal(p.m.files[0].size, 5000000000u);
    assert_string_equal(p.m.files[1].path, "d/c");
    assert_false(p.has_sha256[0]);
    assert_true(p.has_sha256[1]);
    assert_false(p.has_sha256[2]); /* a checksum of checksums is not the file's */
    assert_string_equal(p.next, "t+/=");
    hold_arena_release(&p.arena);
}

static void what_is_no_listing_is_refused(void **unused) {
    (void) unused;
    static struct page p;
    static const char *const wrong[] = {
        "", "x", "<html></html>", "<Error><Code>x</Code></Error>", "<ListBucketResult>", "<ListBucketResult></Other>", "<ListBucketResult", "</ListBucketResult>",
        "<!DOCTYPE a><ListBucketResult></ListBucketResult>", "<ListBucketResult><![CDATA[x]]></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Key>m/a</Key></Contents></ListBucketResult>", "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>m/a</Key><Size>-1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>m/a</Key><Size>99999999999999999999</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>other/a</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>m/&b;</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>m/&#0;</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>m/&#xD800;</Key><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><a><b><c><d><e><f><g><h></h></g></f></e></d></c></b></a></ListBucketResult>",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (read_page(&p, wrong[i]) == 0)
            fail_msg("accepted %s", wrong[i]);
        hold_arena_release(&p.arena);
    }
}

static void a_checksum_is_32_bytes_in_base64(void **unused) {
    (void) unused;
    uint8_t got[32], want[32];
    assert_true(hold_hex_read(SHA, 32, want));
    assert_true(hold_s3_checksum("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", got));
    assert_memory_equal(got, want, 32);
    static const char *const wrong[] = { "", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=-3", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa1=",
                                         "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", "====ungWv48BzpBQUDeXa4iI7ADYaOWF3qctBD/YfIA=" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (hold_s3_checksum(wrong[i], got))
            fail_msg("accepted '%s'", wrong[i]);
}

static void a_profile_is_found_by_its_name(void **unused) {
    (void) unused;
    char text[] = "[default]\naws_access_key_id = no\n\n[ work ]\r\n# x = y\naws_access_key_id=K\n  aws_secret_access_key = s=e/c+r\t\naws_session_token =\n[z]\naws_access_key_id = no\n";
    struct hold_s3_profile p;
    assert_true(hold_s3_profile_find(text, "work", &p));
    assert_string_equal(p.key, "K");
    assert_string_equal(p.secret, "s=e/c+r");
    assert_string_equal(p.session, "");
    char other[] = "[default]\n";
    assert_false(hold_s3_profile_find(other, "work", &p));
}

static int read_modelscope(struct hold_arena *arena, struct hold_manifest *m, char commit[41], const char *text, struct hold_err *err) {
    *m = (struct hold_manifest) { .files = hold_arena_array(arena, HOLD_MANIFEST_MAX_FILES, sizeof *m->files) };
    return hold_modelscope_files(text, strlen(text), arena, m, commit, err);
}

static void modelscope_gives_sizes_digests_and_the_commit(void **unused) {
    (void) unused;
    hold_autoarena arena = hold_arena_with_max(8 << 20);
    struct hold_manifest m;
    struct hold_err err = { 0 };
    char commit[41] = "x";
    assert_int_equal(read_modelscope(&arena, &m, commit, "{\"Code\":200,\"Data\":{\"Files\":[{\"Path\":\"d\",\"Type\":\"tree\"},{\"Path\":\"d/a\",\"Type\":\"blob\",\"Size\":3,\"Sha256\":\"" SHA "\"}],"
                                     "\"LatestCommitter\":{\"Id\":\"f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f\"}},\"Message\":\"success\",\"Success\":true}", &err), 0);
    assert_int_equal(m.n_files, 1);
    assert_true(m.files[0].has_sha256 && m.files[0].size == 3);
    assert_string_equal(commit, "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f");
    assert_int_equal(read_modelscope(&arena, &m, commit, "{\"Data\":{\"Files\":[],\"LatestCommitter\":{\"Id\":\"\"}}}", &err), 0);
    assert_string_equal(commit, "");
}

static void modelscope_is_not_believed_without_size_or_digest(void **unused) {
    (void) unused;
    static const char *const wrong[] = { "{}", "[]", "{\"Data\":{\"Files\":{}}}", "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Size\":1}]}}", "{\"Data\":{\"Files\":[{\"Size\":1,\"Sha256\":\"" SHA "\"}]}}",
                                         "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Size\":0,\"Sha256\":\"" SHA "\"}]}}", "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Size\":1,\"Sha256\":\"\"}]}}" };
    hold_autoarena arena = hold_arena_with_max(8 << 20);
    struct hold_manifest m;
    char commit[41];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct hold_err err = { 0 };
        if (read_modelscope(&arena, &m, commit, wrong[i], &err) == 0)
            fail_msg("accepted %s", wrong[i]);
    }
    struct hold_err err = { 0 };
    assert_int_equal(read_modelscope(&arena, &m, commit, "{\"Code\":10010205001,\"Message\":\"gone\",\"Success\":false}", &err), -1);
    assert_int_equal(err.code, HOLD_E_DENIED);
    assert_non_null(strstr(err.text, "gone"));
}

static void an_error_answer_gives_its_sentence(void **unused) {
    (void) unused;
    static const struct { const char *body, *sentence; } rows[] = {
        { "<Error><Code>NoSuchKey</Code><Message>It is\nnot there.</Message></Error>", "NoSuchKey: It is not there." },
        { "<Error><Code>SlowDown</Code></Error>", "SlowDown" },
        { "{\"Code\": 1, \"Message\": \"no \\\"such\\\" model\"}", "no  such  model" },
        { "{\"error\":\"gated\"}", "gated" },
        { "{\"message\":\"\xe6\xa8\xa1\xe5\x9e\x8b\"}", "\xe6\xa8\xa1\xe5\x9e\x8b" },
        { "{\"message\":\"\xe6\xa8", "  " },
        { "<html>no</html>", "" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[40];
        hold_error_sentence((const uint8_t *) rows[i].body, strlen(rows[i].body), out, sizeof out);
        assert_string_equal(out, rows[i].sentence);
    }
    char little[8];
    hold_error_sentence((const uint8_t *) "<Code>NoSuchKey</Code><Message>x</Message>", 43, little, sizeof little);
    assert_string_equal(little, "NoSuchK");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_buckets_and_prefixes),
        cmocka_unit_test(the_bucket_stands_where_its_style_says),
        cmocka_unit_test(a_page_gives_paths_sizes_and_the_next_one),
        cmocka_unit_test(what_is_no_listing_is_refused),
        cmocka_unit_test(a_checksum_is_32_bytes_in_base64),
        cmocka_unit_test(a_profile_is_found_by_its_name),
        cmocka_unit_test(modelscope_gives_sizes_digests_and_the_commit),
        cmocka_unit_test(modelscope_is_not_believed_without_size_or_digest),
        cmocka_unit_test(an_error_answer_gives_its_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
