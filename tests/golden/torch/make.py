#!/usr/bin/env python3
"""make.py: writes the checkpoints beside it. good/ by torch.save (needs torch; the file good.txt says what torch reads back
from them), bad/ byte by byte without torch (bad.txt says which words each refusal must hold). Run it in this folder."""
import collections
import os
import struct
import sys
import zlib


# ---- bad ones ----

class Zip:
    """A writer that can be told to lie. Entries: (name, bytes, {what: lie})."""

    def __init__(self, entries, **how):
        self.out, central = b"", b""
        for name, data, lie in entries:
            encoded = name.encode() if isinstance(name, str) else name
            method, body = (8, zlib.compress(data)[2:-4]) if lie.get("deflate") else (0, data)
            flags = lie.get("flags", 0) | (8 if lie.get("descriptor") else 0)
            size, crc = lie.get("size", len(data)), zlib.crc32(data)
            packed = lie.get("packed", len(body))
            begin = lie.get("begin", len(self.out))
            later = bool(lie.get("descriptor"))
            local_extra = b""
            fields = (0, 0, 0) if later else (crc, lie.get("local_size", packed), lie.get("local_size", size))
            if lie.get("zip64"):
                local_extra = struct.pack("<HHQQ", 1, 16, size, packed)
                fields = (crc, 0xFFFFFFFF, 0xFFFFFFFF)
            local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, flags, lie.get("local_method", method), 0, 0, *fields, len(lie.get("local_name", encoded)), len(local_extra))
            if "begin" not in lie or lie.get("write"):
                self.out += local + lie.get("local_name", encoded) + local_extra + body
                if lie.get("descriptor") == 1:
                    self.out += struct.pack("<IIII", 0x08074B50, crc, packed, size)
                elif lie.get("descriptor") == 2:
                    self.out += struct.pack("<IIQQ", 0x08074B50, crc, packed, size)
                elif lie.get("descriptor") == 3:
                    self.out += struct.pack("<IIII", 0x08074B50, crc, packed + 1, size)
                self.out += lie.get("behind", b"")
            extra, c_size, c_packed, c_begin = b"", size, packed, begin
            if lie.get("zip64"):
                extra = struct.pack("<HHQQQ", 1, 24, size, packed, begin)
                c_size = c_packed = c_begin = 0xFFFFFFFF
            if "extra" in lie:
                extra, c_size = lie["extra"], 0xFFFFFFFF
            central += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, flags, method, 0, 0, crc, c_packed, c_size, len(encoded), len(extra), 0, lie.get("disk", 0), 0, 0, c_begin)
            central += encoded + extra
        at, n = len(self.out), how.get("count", len(entries))
        self.out += central + how.get("central_more", b"")
        size = len(central) + len(how.get("central_more", b"")) + how.get("size_more", 0)
        small = (n, size, at)
        if how.get("zip64"):
            end = len(self.out)
            self.out += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, n, n, size, at + how.get("at_more", 0))
            self.out += struct.pack("<IIQI", 0x07064B50, 0, how.get("locator", end), 1)
            small = how.get("small", (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF))
        self.out += struct.pack("<IHHHHIIH", 0x06054B50, how.get("disk", 0), 0, small[0], small[0], small[1], small[2], how.get("comment", 0))
        self.out += how.get("after", b"")


def text(s):
    s = s.encode()
    return b"X" + struct.pack("<I", len(s)) + s


def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def number(n):
    return b"K" + bytes([n]) if 0 <= n < 256 else b"J" + struct.pack("<i", n) if -2**31 <= n < 2**31 else b"\x8a\x08" + struct.pack("<q", n)


def numbers(*n):
    return b"(" + b"".join(map(number, n)) + b"t"


def storage(key="0", count=4, kind="FloatStorage", view=b"", module="torch"):
    return b"(" + text("storage") + glob(module, kind) + text(key) + text("cpu") + number(count) + view + b"tQ"


def tensor(store=None, offset=0, size=(4,), stride=(1,), function="_rebuild_tensor_v2", more=b"\x89" + glob("collections", "OrderedDict") + b")R"):
    return glob("torch._utils", function) + b"(" + (storage() if store is None else store) + number(offset) + numbers(*size) + numbers(*stride) + more + b"tR"


def state(*pairs):
    return b"\x80\x02}(" + b"".join(text(k) + v for k, v in pairs) + b"u."


GOOD = state(("w", tensor()))
DATA = b"\0" * 16
VERSION = ("m/version", b"3\n", {})


def checkpoint(pickle=GOOD, data=DATA, more=(), lie_pickle=None, lie_data=None, **how):
    return Zip([("m/data.pkl", pickle, lie_pickle or {}), ("m/data/0", data, lie_data or {}), VERSION, *more], **how).out


def legacy(obj=None, keys=("0",), blobs=None, system=None, tail=b""):
    view = b"N"
    obj = state(("w", tensor(storage(view=view)))) if obj is None else obj
    system = b"\x80\x02}(" + text("protocol_version") + number(1001) + text("little_endian") + b"\x88u." if system is None else system
    listed = b"\x80\x02](" + b"".join(text(k) for k in keys) + b"e."
    blobs = [struct.pack("<q", 4) + DATA] if blobs is None else blobs
    head = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    return head + system + obj + listed + b"".join(blobs) + tail


def tar():
    block = bytearray(512)
    block[0:8] = b"storages"
    block[257:263] = b"ustar\0"
    return bytes(block) + b"\0" * 1024


def beside(value):
    return b"\x80\x02}(" + text("w") + tensor() + text("v") + value + b"u."


def deep(n):
    return beside(b"]" * n + b"a" * (n - 1))


def memo_bomb(levels):
    """Each list holds the one before it ten times: 10**levels values when unfolded."""
    p = b"](" + text("x") + b"e" + b"q\x00"
    for i in range(levels):
        p += b"](" + (b"h" + bytes([i])) * 10 + b"e" + b"q" + bytes([i + 1])
    return beside(b"(" + p + b"t")


def circle():
    return b"]q\x00h\x00a"


SYSTEM = glob("os", "system") + b"(" + text("touch /tmp/holdfast-was-here") + b"tR."
BAD = {
    # what runs code
    "os_system.pth": (checkpoint(b"\x80\x02" + SYSTEM), "names 'os.system'"),
    "posix_system.pth": (checkpoint(b"\x80\x02" + glob("posix", "system") + b"(" + text("id") + b"tR."), "names 'posix.system'"),
    "eval.pth": (checkpoint(b"\x80\x02" + glob("builtins", "eval") + b"(" + text("1") + b"tR."), "names 'builtins.eval'"),
    "getattr.pth": (checkpoint(b"\x80\x02" + glob("__builtin__", "getattr") + b"."), "names '__builtin__.getattr'"),
    "torch_load.pth": (checkpoint(b"\x80\x02" + glob("torch", "load") + b"(" + text("x") + b"tR."), "names 'torch.load'"),
    "other_module.pth": (checkpoint(b"\x80\x02" + glob("evil", "OrderedDict") + b")R."), "names 'evil.OrderedDict'"),
    "newline_name.pth": (checkpoint(b"\x80\x02" + b"ctorch\nFloatStorage.__class__\n."), "names 'torch.FloatStorage.__class__'"),
    "stack_global.pth": (checkpoint(b"\x80\x04\x8c\x02os\x8c\x06system\x93."), "not of protocol 2"),
    "stack_global_in_2.pth": (checkpoint(b"\x80\x02" + text("os") + text("system") + b"\x93."), "opcode 0x93"),
    "inst.pth": (checkpoint(b"\x80\x02(" + text("id") + b"ios\nsystem\n."), "opcode 0x69"),
    "object.pth": (checkpoint(b"\x80\x02(" + b"o."), "opcode 0x6f"),
    "newobj.pth": (checkpoint(b"\x80\x02" + glob("collections", "OrderedDict") + b")\x81."), "opcode 0x81"),
    "extension.pth": (checkpoint(b"\x80\x02\x82\x01."), "opcode 0x82"),
    "hidden_in_metadata.pth": (checkpoint(b"\x80\x02" + glob("collections", "OrderedDict") + b")R}" + text("_metadata") + SYSTEM[:-1] + b"sb."), "names 'os.system'"),
    "legacy_os_system.pth": (legacy(b"\x80\x02" + SYSTEM), "names 'os.system'"),
    "legacy_system_in_system.pth": (legacy(system=b"\x80\x02" + SYSTEM), "names 'os.system'"),
    "legacy_module.pth": (legacy(b"\x80\x02(" + text("module") + b"N" + text("a.py") + text("import os") + b"tQ."), "source of a module"),
    "torchscript.pth": (Zip([("m/data.pkl", GOOD, {}), ("m/code/__torch__.py", b"x", {}), ("m/data/0", DATA, {})]).out, "TorchScript"),
    "torchscript_constants.pth": (Zip([("m/constants.pkl", GOOD, {}), ("m/data.pkl", GOOD, {}), ("m/data/0", DATA, {})]).out, "TorchScript"),
    # bombs
    "not_utf8.pth": (checkpoint(state(("w", tensor())).replace(b"X\1\0\0\0w", b"X\1\0\0\0\xf0")), "a string is not UTF-8"),
    "deep.pth": (checkpoint(deep(2000)), "nested more than 32 deep"),
    "stack.pth": (checkpoint(b"\x80\x02" + b"N" * 70000 + b"."), "more than 65536 values on the stack"),
    "memo_far.pth": (checkpoint(b"\x80\x02Nr\xff\xff\xff\x7f."), "memo is not filled in order"),
    "memo_none.pth": (checkpoint(b"\x80\x02h\x05."), "memo has nothing"),
    # pickles that contradict themselves
    "setitem_list.pth": (checkpoint(b"\x80\x02]" + text("a") + b"Ns."), "SETITEM on what is no dictionary"),
    "setitem_tensor.pth": (checkpoint(b"\x80\x02" + tensor() + text("a") + b"Ns."), "SETITEM on what is no dictionary"),
    "setitems_odd.pth": (checkpoint(b"\x80\x02}(" + text("a") + b"u."), "SETITEMS without pairs"),
    "setitems_none.pth": (checkpoint(b"\x80\x02(" + text("a") + b"Nu."), "SETITEMS without pairs or without a dictionary"),
    "append_dict.pth": (checkpoint(b"\x80\x02}Na."), "APPEND on what is no list"),
    "build_plain.pth": (checkpoint(b"\x80\x02}}b."), "BUILD on something else"),
    "build_tensor.pth": (checkpoint(b"\x80\x02" + tensor() + b"}b."), "BUILD on something else"),
    "reduce_text.pth": (checkpoint(b"\x80\x02" + text("x") + b")R."), "REDUCE calls what is no global"),
    "reduce_list.pth": (checkpoint(b"\x80\x02" + glob("collections", "OrderedDict") + b"]R."), "REDUCE calls what is no global"),
    "call_storage.pth": (checkpoint(b"\x80\x02" + glob("torch", "FloatStorage") + b")R."), "called like a function"),
    "ordered_text.pth": (checkpoint(b"\x80\x02" + glob("collections", "OrderedDict") + text("x") + b"\x85R."), "OrderedDict is called with"),
    "size_text.pth": (checkpoint(b"\x80\x02" + glob("torch", "Size") + text("x") + b"\x85R."), "Size is called with"),
    "key_tuple.pth": (checkpoint(b"\x80\x02})Ns."), "a key is neither"),
    "pickle_cut.pth": (checkpoint(GOOD[:-5]), "cut short"),
    "pickle_text_cut.pth": (checkpoint(b"\x80\x02X\xff\xff\xff\x7fabc"), "cut short"),
    "pickle_empty.pth": (checkpoint(b""), "cut short"),
    "pickle_more.pth": (checkpoint(GOOD + b"x"), "follow the pickle's end"),
    "pickle_two_values.pth": (checkpoint(b"\x80\x02NN."), "does not end with one value"),
    "pickle_mark_left.pth": (checkpoint(b"\x80\x02(."), "does not end with one value"),
    "pickle_underflow.pth": (checkpoint(b"\x80\x02N\x86."), "a value is wanted"),
    "global_endless.pth": (checkpoint(b"\x80\x02c" + b"a" * 300 + b"\nb\n."), "name does not end"),
    # storages and tensors
    "storage_long.pth": (checkpoint(data=DATA[:12]), "storage '0' has 16 bytes by the pickle, its entry has 12"),
    "storage_short.pth": (checkpoint(data=DATA + b"1234"), "storage '0' has 16 bytes by the pickle, its entry has 20"),
    "storage_none.pth": (checkpoint(state(("w", tensor(storage("7"))))), "entry 'm/data/0' is a storage that no tensor uses"),
    "storage_missing.pth": (checkpoint(state(("v", tensor(storage("1"))), ("w", tensor()))), "storage '1' has no entry"),
    "storage_two_types.pth": (checkpoint(state(("v", tensor(storage(kind="IntStorage"))), ("w", tensor()))), "named twice, with different"),
    "storage_wrap.pth": (checkpoint(state(("w", tensor(storage(count=2**62))))), "passes 64 bits"),
    "storage_negative.pth": (checkpoint(state(("w", tensor(storage(count=-4))))), "a storage is not named as"),
    "storage_key.pth": (checkpoint(state(("w", tensor(storage(key=""))))), "key has 0 bytes"),
    "storage_text.pth": (checkpoint(b"\x80\x02" + text("0") + b"Q."), "a storage is not named as"),
    "tensor_out.pth": (checkpoint(state(("w", tensor(offset=1)))), "tensor 'w': offset, size and stride lead to byte 20 of storage '0', which has 16"),
    "tensor_stride.pth": (checkpoint(state(("w", tensor(size=(2, 2), stride=(3, 1))))), "lead to byte 20"),
    "tensor_wrap.pth": (checkpoint(state(("w", tensor(size=(2**62, 2**62), stride=(0, 0))))), "passes 64 bits"),
    "tensor_stride_wrap.pth": (checkpoint(state(("w", tensor(size=(2**40,), stride=(2**40,))))), "passes 64 bits"),
    "tensor_offset_wrap.pth": (checkpoint(state(("w", tensor(offset=2**63 - 1, size=(4,), stride=(2**62,))))), "passes 64 bits"),
    "tensor_negative.pth": (checkpoint(state(("w", tensor(size=(-4,))))), "not a whole number of at least 0"),
    "tensor_negative_stride.pth": (checkpoint(state(("w", tensor(stride=(-1,), offset=3)))), "not a whole number of at least 0"),
    "tensor_negative_offset.pth": (checkpoint(state(("w", tensor(offset=-1)))), "storage offset is not"),
    "tensor_ranks.pth": (checkpoint(state(("w", tensor(size=(2, 2), stride=(1,))))), "not tuples of the same length"),
    "tensor_rank_9.pth": (checkpoint(state(("w", tensor(size=(1,) * 9, stride=(1,) * 9)))), "at most 8"),
    "tensor_arguments.pth": (checkpoint(state(("w", tensor(more=b"")))), "called with something else than it takes"),
    "tensor_hooks.pth": (checkpoint(state(("w", tensor(more=b"\x89}" + text("h") + text("x") + b"s")))), "called with something else than it takes"),
    "tensor_no_storage.pth": (checkpoint(state(("w", tensor(store=b"N")), ("v", tensor()))), "tensor 'w': its storage is none"),
    "tensor_untyped.pth": (checkpoint(state(("w", tensor(storage(kind="UntypedStorage", count=16, module="torch.storage"))))), "says no one dtype"),
    "tensor_twice.pth": (checkpoint(state(("w", tensor()), ("w", tensor()))), "tensor 'w' is there twice"),
    "parameter.pth": (checkpoint(b"\x80\x02}" + text("p") + glob("torch._utils", "_rebuild_parameter") + b"(N\x88}tRs" + text("w") + tensor() + b"s."), "_rebuild_parameter is called with"),
    # the zip
    "compressed_pickle.pth": (checkpoint(lie_pickle={"deflate": 1}), "entry 'm/data.pkl' is compressed (method 8)"),
    "compressed_storage.pth": (checkpoint(lie_data={"deflate": 1}), "entry 'm/data/0' is compressed (method 8)"),
    "encrypted.pth": (checkpoint(lie_data={"flags": 1}), "entry 'm/data/0' is encrypted"),
    "flags.pth": (checkpoint(lie_data={"flags": 1 << 13}), "flags 0x2000"),
    "escape.pth": (checkpoint(more=[("m/../../etc/cron.d/x", b"x", {})]), "could leave its folder"),
    "absolute.pth": (checkpoint(more=[("/etc/passwd", b"x", {})]), "could leave its folder"),
    "backslash.pth": (checkpoint(more=[("m\\x", b"x", {})]), "could leave its folder"),
    "nul_name.pth": (checkpoint(more=[(b"m/.x\0y", b"x", {})]), "a zero in it"),
    "no_name.pth": (checkpoint(more=[("", b"x", {})]), "0 bytes"),
    "duplicate.pth": (checkpoint(more=[("m/data/0", DATA, {})]), "entry 'm/data/0' is there twice"),
    "duplicate_pickle.pth": (checkpoint(more=[("m/data.pkl", b"\x80\x02" + SYSTEM, {})]), "entry 'm/data.pkl' is there twice"),
    "two_folders.pth": (checkpoint(more=[("z/x", b"x", {})]), "not in the folder 'm/'"),
    "stranger.pth": (checkpoint(more=[("m/x.py", b"x", {})]), "not one that torch.save writes"),
    "no_pickle.pth": (Zip([("m/data/0", DATA, {}), VERSION]).out, "no data.pkl"),
    "empty_zip.pth": (Zip([]).out, "no data.pkl"),
    "big_endian.pth": (checkpoint(more=[("m/byteorder", b"big", {})]), "byteorder is not 'little'"),
    "version.pth": (Zip([("m/data.pkl", GOOD, {}), ("m/data/0", DATA, {}), ("m/version", b"77\n", {})]).out, "version is not"),
    "local_name.pth": (checkpoint(lie_data={"local_name": b"m/data/1"}), "local header and central directory contradict"),
    "local_size.pth": (checkpoint(lie_data={"local_size": 15}), "local header and central directory contradict"),
    "local_method.pth": (checkpoint(lie_data={"local_method": 8}), "local header and central directory contradict"),
    "size_differs.pth": (checkpoint(lie_data={"packed": 12}), "is stored in 12 bytes but 16 long"),
    "overlap.pth": (checkpoint(more=[("m/.x", b"", {"begin": 0})]), "local header and central directory contradict"),
    "overlap_same.pth": (Zip([("m/data.pkl", GOOD, {}), ("m/data/0", DATA, {}), ("m/data.pkl", GOOD, {"begin": 0})]).out, "overlaps"),
    "no_local.pth": (checkpoint(more=[("m/.x", b"x", {"begin": 7})]), "has no local header"),
    "past_end.pth": (checkpoint(more=[("m/.x", b"x", {"begin": 1 << 20})]), "has no local header"),
    "entry_long.pth": (checkpoint(more=[("m/.x", b"x", {"size": 900, "packed": 900})]), "passes the end of the data"),
    "gap.pth": (checkpoint(lie_data={"behind": b"hidden"}), "6 bytes behind entry 'm/data/0' are no entry's"),
    "descriptor_wrong.pth": (checkpoint(lie_data={"descriptor": 3}), "not its data descriptor"),
    "descriptor_none.pth": (checkpoint(lie_data={"flags": 8}), "not its data descriptor"),
    "before.pth": (b"#!/bin/sh\n" + checkpoint(), "begins neither"),
    "after.pth": (checkpoint(after=b"trailing"), "does not end with a zip's end record"),
    "comment.pth": (checkpoint(comment=8, after=b"a remark"), "does not end with a zip's end record"),
    "comment_lie.pth": (checkpoint(comment=8), "comment that is not there"),
    "disk.pth": (checkpoint(disk=1), "several disks"),
    "disk_entry.pth": (checkpoint(lie_data={"disk": 1}), "several disks"),
    "central_more.pth": (checkpoint(central_more=b"xxxx"), "more than its 3 entries"),
    "central_short.pth": (checkpoint(size_more=-5), "does not end at its end record"),
    "count_more.pth": (checkpoint(count=4, central_more=b"x" * 50), "central directory is broken"),
    "count_wild.pth": (checkpoint(count=65535), "zip entries in"),
    "extra_broken.pth": (checkpoint(lie_data={"extra": b"\x01\x00\xff\x00"}), "extra field"),
    "extra_short.pth": (checkpoint(lie_data={"extra": b"\x01\x00\x04\x00abcd"}), "extra field"),
    "zip64_locator.pth": (checkpoint(zip64=1, locator=1 << 40), "not where its locator points"),
    "zip64_contradicts.pth": (checkpoint(zip64=1, small=(2, 0xFFFFFFFF, 0xFFFFFFFF)), "contradict each other"),
    "zip64_at.pth": (checkpoint(zip64=1, at_more=3), "does not end at its end record"),
    "cut_half.pth": (checkpoint()[:150], "does not end with a zip's end record"),
    "cut_one.pth": (checkpoint()[:-1], "does not end with a zip's end record"),
    # the legacy format
    "tar.pth": (tar(), "tar archive"),
    "legacy_count.pth": (legacy(blobs=[struct.pack("<q", 5) + DATA + b"1234"]), "storage '0' has 4 elements by the pickle, 5 where it lies"),
    "legacy_cut.pth": (legacy(blobs=[struct.pack("<q", 4) + DATA[:15]]), "cut short: storage '0' has 16 bytes, 15 are left"),
    "legacy_cut_count.pth": (legacy(blobs=[b"\4"]), "cut short: storage '0' is not there"),
    "legacy_more.pth": (legacy(tail=b"x"), "1 bytes at the end belong to no storage"),
    "legacy_unlisted.pth": (legacy(keys=(), blobs=[]), "is not in its list of storages"),
    "legacy_listed_twice.pth": (legacy(keys=("0", "0")), "was there before"),
    "legacy_stranger.pth": (legacy(keys=("9",)), "no tensor uses"),
    "legacy_big_endian.pth": (legacy(system=b"\x80\x02}(" + text("protocol_version") + number(1001) + text("little_endian") + b"\x89u."), "little_endian is not true"),
    "legacy_protocol.pth": (legacy(system=b"\x80\x02}(" + text("protocol_version") + number(1002) + text("little_endian") + b"\x88u."), "protocol_version is not 1001"),
    "legacy_view.pth": (legacy(state(("w", tensor(storage(view=b"(" + text("1") + number(2) + number(3) + b"t"))))), "a storage is not named as"),
    "legacy_head_only.pth": (legacy()[:21], "cut short"),
    "plain_pickle.pth": (GOOD, "begins neither"),
    "nothing.pth": (b"", "begins neither"),
}
FINE = {
    "memo_bomb.pth": checkpoint(memo_bomb(100)),
    "zip64.pth": checkpoint(zip64=1, lie_data={"zip64": 1}),
    "descriptor.pth": checkpoint(lie_data={"descriptor": 1}, lie_pickle={"descriptor": 2}),
    "circle.pth": checkpoint(b"\x80\x02}(" + text("c") + circle() + text("w") + tensor() + b"u."),
    "python2.pth": legacy(b"\x80\x02" + glob("collections", "OrderedDict") + b"q\x01](](U\x01w" + tensor(storage(view=b"N", module="torch.cuda"), function="_rebuild_tensor", more=b"") + b"ee\x85R."),
    "view.pth": legacy(state(("w", tensor(storage(view=b"(" + text("1") + number(1) + number(3) + b"t"))))),
}


def write(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def make_bad():
    lines = []
    for name, (data, words) in sorted(BAD.items()):
        write("bad", name, data)
        lines.append(f"{name}\t{words}")
    with open("bad.txt", "w") as f:
        f.write("\n".join(lines) + "\n")
    for name, data in FINE.items():
        write("good", name, data)


# ---- good ones ----

def make_good():
    import torch
    torch.manual_seed(1)
    base = torch.arange(24, dtype=torch.float32)
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    models = {
        "state_dict": layer.state_dict(),
        "dtypes": {str(d).split(".")[1]: torch.zeros(3).to(d) for d in
                   (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
                    torch.complex64, torch.complex128, torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2)},
        "views": {"all": base, "part": base[4:8], "turned": base.view(4, 6).t(), "wide": base[0:1].expand(5), "none": base[:0], "one": base[3].clone(), "every": base[::3]},
        "nested": {"model": layer.state_dict(), "epoch": 7, "lr": 0.5, "big": 10**30, "steps": [1, 2, 3], "names": ("a", None, True),
                   "optim": {0: {"m": torch.ones(2)}, 1: {"m": torch.ones(3)}}, "size": torch.Size([3, 4]), "dtype": torch.bfloat16, "device": torch.device("cpu")},
        "parameter": collections.OrderedDict(p=torch.nn.Parameter(torch.ones(2, 2)), tied=layer[0].weight, again=layer[0].weight),
        "alone": torch.ones(2, 3),
        "empty": {},
    }
    for name, model in models.items():
        torch.save(model, f"good/{name}.pth")
        if name not in ("nested", "dtypes"):  # torch itself cannot read the newer dtypes back from the legacy format
            torch.save(model, f"good/{name}_legacy.pth", _use_new_zipfile_serialization=False)


def flat(value, path=()):
    import torch
    if isinstance(value, torch.Tensor):
        yield ".".join(path), value.detach()
    elif isinstance(value, dict):
        for k, v in value.items():
            yield from flat(v, path + (str(k),))
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            if v is not value:
                yield from flat(v, path + (str(i),))


def describe():
    import torch
    spelled = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8",
               "bool": "BOOL", "complex64": "C64", "complex128": "C128", "uint16": "U16", "uint32": "U32", "uint64": "U64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}
    lines = []
    for name in sorted(os.listdir("good")):
        lines.append(f"file {name}")
        data = open(f"good/{name}", "rb").read()
        if b"torch.cuda" in data or name in ("circle.pth", "memo_bomb.pth", "view.pth"):
            tensors = [("w", torch.zeros(4))]  # a GPU is wanted for the first; the others have no end when unfolded, or no reader any more
        else:
            tensors = list(flat(torch.load(f"good/{name}", weights_only=True, map_location="cpu")))
        for key, t in sorted(tensors):
            first = bytes(t.flatten()[0:1].clone(memory_format=torch.contiguous_format).reshape(1).as_strided((1,), (1,)).view(torch.uint8).tolist()).hex() if t.numel() else "-"
            sizes = ",".join(map(str, t.shape)) or "-"
            strides = ",".join(map(str, t.stride())) or "-"
            lines.append(f"{key or '-'} {spelled[str(t.dtype).split('.')[1]]} {sizes} {strides} {t.numel() * t.element_size()} {'c' if t.is_contiguous() or t.numel() == 0 else 's'} {first}")
    with open("good.txt", "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    make_bad()
    if sys.argv[1:] != ["--bad"]:
        make_good()
        describe()
