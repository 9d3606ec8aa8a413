"""origin_stores.py: what origin.py answers as ModelScope and as S3. Both are look-alikes that the real clients agree with:
49_stores.bats downloads through them with PyPI's modelscope, and botocore recomputes every signature."""
import base64, hashlib, json, os, re, urllib.parse
from xml.sax.saxutils import escape

COMMIT = 'b' * 40


def files_of(root):
    for folder, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            full = os.path.join(folder, name)
            yield os.path.relpath(full, root), open(full, 'rb').read()


class ModelScope:
    """Its listing and download as the 1.40 client asks for them; small files by itself, large ones from another host."""

    def __init__(self, repo, root, token, pins):
        self.repo, self.root, self.token, self.pins = repo, root, token, pins

    def error(self, handler, status, code, message):
        handler.plain(status, json.dumps({'Code': code, 'Message': message, 'RequestId': 'x', 'Success': False}).encode(), Content_Type='application/json')
        return True

    def answer(self, handler, path):
        m = re.match(r'/api/v1/models/([^/]+/[^/]+)(/repo/files|/repo|/revisions|)$', path)
        if not m:
            return False
        query = {k: v[0] for k, v in urllib.parse.parse_qs(handler.path.partition('?')[2]).items()}
        if m.group(1) != self.repo:
            return self.error(handler, 404, 10010205001, 'record not found')
        by_cookie = 'm_session_id=%s' % self.token in (handler.headers.get('Cookie') or '')
        if self.token and not by_cookie and handler.headers.get('Authorization') != 'Bearer ' + self.token:
            return self.error(handler, 403, 10010205003, 'the model is gated: apply for access')
        revision = query.get('Revision', 'master')
        if revision not in ('master', 'v1.0', COMMIT):
            return self.error(handler, 404, 10010205002, 'revision not found')
        if m.group(2) == '/repo/files':
            rows = [{'Name': os.path.basename(p), 'Path': p, 'Type': 'blob', 'Size': len(d), 'Sha256': hashlib.sha256(d).hexdigest(), 'Revision': COMMIT,
                     'IsLFS': p.endswith('.safetensors'), 'Mode': '33188'} for p, d in files_of(self.root)]
            data = {'Files': rows, 'IsVisual': 0, 'LatestCommitter': {'Id': COMMIT if self.pins else '', 'ShortId': COMMIT[:8]}}
        elif m.group(2) == '/repo':
            name = query.get('FilePath', '')
            full = os.path.normpath(os.path.join(self.root, name))
            if not os.path.isfile(full):
                return self.error(handler, 404, 10990101001, 'file not found')
            if name.endswith('.safetensors'):
                port = handler.server.server_address[1]
                handler.plain(302, b'', Location='http://localhost:%d/oss/%s?Signature=s&Expires=9' % (port, urllib.parse.quote(name)))
            else:
                handler.serve('/' + name, open(full, 'rb').read(), [])
            return True
        else:
            data = {'RevisionMap': {'Branches': [{'Revision': 'master'}], 'Tags': [{'Revision': 'v1.0'}]}}
        handler.plain(200, json.dumps({'Code': 200, 'Data': data, 'Message': 'success', 'RequestId': 'x', 'Success': True}).encode(), Content_Type='application/json')
        return True


class S3:
    """One bucket, in the path or in the host; signatures as botocore makes them; two objects a page."""

    def __init__(self, bucket, root, key, secret, region, session, sums, faults):
        self.bucket, self.root, self.key, self.secret, self.region, self.session, self.sums, self.faults = bucket, root, key, secret, region, session, sums, faults

    def error(self, handler, status, code, message, **headers):
        body = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>%s</Message><RequestId>x</RequestId></Error>' % (code, escape(message))
        handler.plain(status, body.encode(), Content_Type='application/xml', **headers)
        return True

    def is_signed(self, handler):
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        said = handler.headers.get('Authorization') or ''
        m = re.match(r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$', said)
        if not m:
            return self.error(handler, 403, 'AccessDenied', 'Access Denied') and False
        key, day, region, names, signature = m.groups()
        if key != self.key:
            return self.error(handler, 403, 'InvalidAccessKeyId', 'The AWS Access Key Id you provided does not exist in our records.') and False
        if region != self.region:
            return self.error(handler, 400, 'AuthorizationHeaderMalformed', "The authorization header is malformed; the region '%s' is wrong" % region,
                              x_amz_bucket_region=self.region) and False
        if self.session and handler.headers.get('X-Amz-Security-Token') != self.session:
            return self.error(handler, 400, 'ExpiredToken', 'The provided token has expired.') and False
        names = names.split(';')
        if 'host' not in names or 'x-amz-date' not in names or 'x-amz-content-sha256' not in names or (self.session and 'x-amz-security-token' not in names):
            return self.error(handler, 403, 'AccessDenied', 'There were headers present in the request which were not signed') and False
        request = AWSRequest(method=handler.command, url='http://%s%s' % (handler.headers['Host'], handler.path), headers={n: handler.headers[n] for n in names})
        request.context['timestamp'] = handler.headers['X-Amz-Date']
        auth = S3SigV4Auth(Credentials(self.key, self.secret, self.session), 's3', self.region)
        wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        if wanted != signature or not handler.headers['X-Amz-Date'].startswith(day):
            return self.error(handler, 403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match the signature you provided.') and False
        return True

    def answer(self, handler, path):
        if (handler.headers.get('Host') or '').startswith(self.bucket + '.'):
            key = path[1:]
        elif path == '/' + self.bucket or path.startswith('/' + self.bucket + '/'):
            key = path[len(self.bucket) + 2:]
        else:
            return self.error(handler, 404, 'NoSuchBucket', 'The specified bucket does not exist')
        if self.key and not self.is_signed(handler):
            return True
        if key == '':
            return self.list(handler)
        full = os.path.normpath(os.path.join(self.root, key))
        if not os.path.isfile(full):
            return self.error(handler, 404, 'NoSuchKey', 'The specified key does not exist.')
        data = open(full, 'rb').read()
        if self.sums and handler.headers.get('x-amz-checksum-mode') == 'ENABLED':
            handler.extra = {'x-amz-checksum-sha256': base64.b64encode(hashlib.sha256(data).digest()).decode()}
        handler.serve(path, data, self.faults)
        return True

    def list(self, handler):
        query = {k: v[0] for k, v in urllib.parse.parse_qs(handler.path.partition('?')[2], keep_blank_values=True).items()}
        if query.get('list-type') != '2':
            return self.error(handler, 501, 'NotImplemented', 'only ListObjectsV2')
        rows = [(p, d) for p, d in files_of(self.root) if p.startswith(query.get('prefix', ''))]
        first = int(query.get('continuation-token', 'at+/=0').split('=')[1])
        sums = '<ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>' if self.sums else ''
        body = ['<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>%s</Name>' % self.bucket,
                '<IsTruncated>%s</IsTruncated>' % ('true' if first + 2 < len(rows) else 'false')]
        for p, d in rows[first:first + 2]:
            body.append('<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;%s&quot;</ETag>%s<Size>%d</Size>'
                        '<Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>' % (escape(p), hashlib.md5(d).hexdigest(), sums, len(d)))
        if first + 2 < len(rows):
            body.append('<NextContinuationToken>at+/=%d</NextContinuationToken>' % (first + 2))
        handler.plain(200, ''.join(body + ['</ListBucketResult>']).encode(), Content_Type='application/xml')
        return True
