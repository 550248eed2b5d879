"""Files that nobody reads or changes unseen without a key: AES-256-GCM in chunks, each of which can be read alone.

`chunks` is the form of a file, `storage_key` the key that its owner has, `envelope` the key of one run or one entry of
the cache, wrapped by it. This package is below all rooms, and imports of the others nothing but `typefleet`'s ground.
"""
