"""tests/embed/use.py LIBRARY SEGMENT - Larder from Python, by ctypes alone: open, put, get, close.

Exits with 1 and what went wrong.
"""
import ctypes as c
import sys


class Value(c.Structure):  # struct larder_value
    _fields_ = [
        ("type", c.c_int), ("data", c.c_void_p), ("bytes", c.c_size_t), ("is_true", c.c_int), ("count", c.c_uint32),
    ]  # fmt: skip


class Key(c.Structure):  # struct larder_key
    _fields_ = [("partition", Value), ("sort", Value)]


class KeyDef(c.Structure):
    _fields_ = [("name", c.c_char_p), ("type", c.c_int)]


class TableDef(c.Structure):
    _fields_ = [
        ("name", c.c_char_p), ("partition", KeyDef), ("sort", KeyDef), ("indexes", c.c_void_p), ("index_count", c.c_uint32),
        ("ttl_attribute", c.c_char_p), ("removal", c.c_int), ("reserved", c.c_uint64 * 8),
    ]  # fmt: skip


class Options(c.Structure):
    _fields_ = [
        ("segment", c.c_char_p), ("flags", c.c_uint32), ("mode", c.c_uint32), ("size_bytes", c.c_uint64),
        ("stripe_count", c.c_uint32), ("busy_timeout_ms", c.c_uint32), ("memfd", c.c_int), ("slot_count", c.c_uint32),
        ("reserved", c.c_uint64 * 8),
    ]  # fmt: skip


STRING, CREATE = 1, 1
larder = c.CDLL(sys.argv[1])
larder.larder_error.restype = c.c_char_p
larder.larder_page_item.restype = c.c_void_p
larder.larder_page_item.argtypes = [c.c_void_p, c.c_uint32]
larder.larder_item_get.argtypes = [c.c_void_p, c.c_char_p, c.POINTER(Value)]
larder.larder_close.argtypes = [c.c_void_p]


def must(result, what):
    if result != 0:
        sys.exit(f"{what}: {result}: {larder.larder_error().decode()}")


def text(string):
    return Value(STRING, c.cast(c.c_char_p(string), c.c_void_p), len(string), 0, 0)


def main():
    db, table, builder, page, item = (c.c_void_p() for _ in range(5))
    options = Options(segment=sys.argv[2].encode(), flags=CREATE, size_bytes=8 << 20)
    must(larder.larder_open(c.byref(options), c.byref(db)), "larder_open")
    definition = TableDef(name=b"python", partition=KeyDef(b"PK", STRING))
    must(larder.larder_table_create(db, c.byref(definition)), "larder_table_create")
    must(larder.larder_table_open(db, b"python", c.byref(table)), "larder_table_open")
    must(larder.larder_builder_new(db, c.byref(builder)), "larder_builder_new")
    must(larder.larder_page_new(db, c.byref(page)), "larder_page_new")
    key, value, found = text(b"key"), text(b"value"), Value()
    must(larder.larder_builder_add(builder, b"PK", c.byref(key)), "larder_builder_add")
    must(larder.larder_builder_add(builder, b"attribute", c.byref(value)), "larder_builder_add")
    must(larder.larder_builder_finish(builder, c.byref(item)), "larder_builder_finish")
    must(larder.larder_put(table, item, None), "larder_put")
    must(larder.larder_get(table, c.byref(Key(partition=key)), page), "larder_get")
    must(larder.larder_item_get(larder.larder_page_item(page, 0), b"attribute", c.byref(found)), "larder_item_get")
    if c.string_at(found.data, found.bytes) != b"value":
        sys.exit("the value that was put is not the one that was got")
    larder.larder_close(db)


main()
