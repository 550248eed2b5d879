"""Who signs what is released: keys by role, and signatures by two algorithms of which each has to hold.

`algorithms` signs and verifies; `key_files` is where keys are kept, private ones and those that are trusted. The
package is below all rooms, as `typefleet.sealed` is, of which it takes how a passphrase keeps a file.
"""
