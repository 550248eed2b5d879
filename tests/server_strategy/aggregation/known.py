"""An AES-GCM of our own, for answers to seal and unseal by; NIST SP 800-38D, sections 6 and 7."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def block(key: bytes, content: bytes) -> bytes:
    """AES of one block."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(content)


def _times(x: int, y: int) -> int:
    """In the field of 2^128 elements, with the bits of the standard's order."""
    product = 0
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= y
        y = (y >> 1) ^ (0xE1 << 120 if y & 1 else 0)
    return product


def gcm(key: bytes, nonce: bytes, content: bytes, associated: bytes) -> bytes:
    """Ciphertext and tag."""
    stream = b"".join(block(key, nonce + (2 + i).to_bytes(4, "big")) for i in range((len(content) + 15) // 16))
    sealed = bytes(a ^ b for a, b in zip(content, stream, strict=False))
    hashed, subkey = 0, int.from_bytes(block(key, bytes(16)), "big")
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(sealed)).to_bytes(8, "big")
    padded = [part + bytes(-len(part) % 16) for part in (associated, sealed)]
    everything = b"".join(padded) + lengths
    for i in range(0, len(everything), 16):
        hashed = _times(hashed ^ int.from_bytes(everything[i : i + 16], "big"), subkey)
    tag = hashed ^ int.from_bytes(block(key, nonce + (1).to_bytes(4, "big")), "big")
    return sealed + tag.to_bytes(16, "big")
