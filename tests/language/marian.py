"""Hand-made Marian models, which fxtranslate loads and runs as it does the real ones.

One layer, no training: the decoder's cross-attention looks at the n-th word for its n-th, and reads
there the code of its translation; everything else only normalises. The weights are fitted, by
least squares, to the position code that the engine adds to its input. A model of 48 pieces takes
0.7 MB. What a word is translated to is told, word for word:

    make({"harga": "price", "naik": "rises"}) -> "harga naik." is "price rises."
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_EMB = 128
_HALF = _EMB // 2
_PHASES = 16  # of the position code, by which a position is found: those that change fastest
_LONGEST = 80  # tokens of a sentence
_CODE = 0.25
_QUERY = 400.0
_VALUE = 40.0
_RIDGE = 1e-4
_UNKNOWN, _CONTROL, _NORMAL, _BYTE = 2, 3, 1, 6
_FLOAT32, _YAML = 0x404, 0x101


@dataclass(frozen=True)
class Marian:
    """A model and its one vocabulary, as files hold them."""

    model: bytes
    vocabulary: bytes


def make(words: Mapping[str, str], *, by_bytes: str = "", unused: int = 0) -> Marian:
    """A model that translates `words`; digits, full stops and commas stay as they are.

    The letters `by_bytes` are taken and given byte by byte. More than some sixty words are too many
    for a map that is linear. `unused` pieces that never come make it larger (each by 512 bytes)
    and slower.
    """
    pieces = _pieces(words, by_bytes.encode())
    weights = _weights(_embedding(len(pieces)), _becomes(pieces, words))
    if unused:
        pieces += [f"▁unused{number}" for number in range(unused)]
        codes = np.random.default_rng(12).standard_normal((unused, _EMB))
        weights["Wemb"] = np.vstack([weights["Wemb"], codes])
        never = np.full((1, unused), -1e6)
        weights["decoder_ff_logit_out_b"] = np.hstack([weights["decoder_ff_logit_out_b"], never])
    return Marian(_container(weights), _vocabulary(pieces))


def _pieces(words: Mapping[str, str], single_bytes: bytes) -> list[str]:
    known = dict.fromkeys(["<unk>", "<s>", "</s>"])
    known |= dict.fromkeys(f"<0x{byte:02X}>" for byte in single_bytes)
    known |= dict.fromkeys(f"▁{word}" for word in (*words, *words.values()))
    known |= dict.fromkeys([".", ",", *"0123456789", "▁"])
    return list(known)


def _becomes(pieces: Sequence[str], words: Mapping[str, str]) -> list[int]:
    """The piece that each piece is translated to."""
    place = {piece: position for position, piece in enumerate(pieces)}
    other = {f"▁{word}": f"▁{translated}" for word, translated in words.items()}
    return [place[other.get(piece, piece)] for piece in pieces]


def _embedding(count: int) -> Array:
    """A code of +-0.25 for each piece, where the position code has nothing to say to us."""
    source = np.random.default_rng(11)
    codes = np.zeros((count, _EMB))
    columns = [*range(_PHASES, _HALF), *range(_HALF + _PHASES, _EMB)]
    signs = np.repeat([1.0, -1.0], len(columns) // 2)
    for row in codes:
        row[columns] = _CODE * source.permutation(signs)
    return codes


def _positions() -> Array:
    rates = 1e-4 ** (np.arange(_HALF) / (_HALF - 1))
    angles = np.arange(_LONGEST)[:, None] * rates
    return np.hstack([np.sin(angles), np.cos(angles)])


def _weights(embedding: Array, becomes: Sequence[int]) -> dict[str, Array]:
    count = len(embedding)
    positions = _positions()
    tokens = np.sqrt(_EMB) * embedding
    # The decoder's first input is a position without a token.
    decoder = _normal((positions[:, None] + np.vstack([tokens, np.zeros(_EMB)])).reshape(-1, _EMB))
    encoder = _normal(_normal((positions[:, None] + tokens).reshape(-1, _EMB)))
    phases = np.hstack([positions[:, :_PHASES], positions[:, _HALF : _HALF + _PHASES]])
    wanted = np.zeros((_LONGEST, _EMB))
    wanted[:, : 2 * _PHASES] = phases
    query, query_bias = _fit(decoder, np.repeat(_QUERY * wanted, count + 1, axis=0))
    key, key_bias = _fit(encoder, np.repeat(wanted, count, axis=0))
    value, value_bias = _fit(encoder, np.tile(np.sign(embedding[list(becomes)]), (_LONGEST, 1)))
    return {
        "Wemb": embedding,
        "decoder_ff_logit_out_b": np.zeros((1, count)),
        **_silent_sublayers(),
        **{
            f"decoder_l1_context_{name}": weight
            for name, weight in {
                "Wq": query, "bq": query_bias, "Wk": key, "bk": key_bias,
                "Wv": value, "bv": value_bias, "Wo": _VALUE * np.eye(_EMB), "bo": _row(0.0),
            }.items()
        },
        **_normalising("decoder_l1_context_Wo"),
    }  # fmt: skip


def _silent_sublayers() -> dict[str, Array]:
    """Sublayers that add nothing, so that all they do is normalise."""
    made = {}
    for name in ("q", "k", "v", "o"):
        made[f"encoder_l1_self_W{name}"] = np.zeros((_EMB, _EMB))
        made[f"encoder_l1_self_b{name}"] = _row(0.0)
    made |= _normalising("encoder_l1_self_Wo")
    for side in ("encoder", "decoder"):
        made[f"{side}_l1_ffn_W1"] = np.zeros((_EMB, 16))
        made[f"{side}_l1_ffn_b1"] = np.zeros((1, 16))
        made[f"{side}_l1_ffn_W2"] = np.zeros((16, _EMB))
        made[f"{side}_l1_ffn_b2"] = _row(0.0)
        made |= _normalising(f"{side}_l1_ffn_ffn")
    made |= {
        "decoder_l1_rnn_W": np.zeros((_EMB, _EMB)),
        "decoder_l1_rnn_Wf": np.zeros((_EMB, _EMB)),
    }
    return made | {"decoder_l1_rnn_bf": _row(0.0)} | _normalising("decoder_l1_rnn_ffn")


def _normalising(name: str) -> dict[str, Array]:
    return {f"{name}_ln_scale": _row(1.0), f"{name}_ln_bias": _row(0.0)}


def _row(value: float) -> Array:
    return np.full((1, _EMB), value)


def _normal(rows: Array) -> Array:
    centred = rows - rows.mean(axis=1, keepdims=True)
    normal: Array = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
    return normal


def _fit(given: Array, wanted: Array) -> tuple[Array, Array]:
    """Weight and bias that make `wanted` of `given`: ridge regression, the bias left free."""
    mean, wanted_mean = given.mean(axis=0), wanted.mean(axis=0)
    centred = given - mean
    penalty = _RIDGE * len(given) * np.eye(_EMB)
    weight = np.linalg.solve(centred.T @ centred + penalty, centred.T @ (wanted - wanted_mean))
    return weight, (wanted_mean - mean @ weight)[None]


def _container(weights: Mapping[str, Array]) -> bytes:
    """Marian's binary format, version 1: headers, names, shapes, then the data."""
    config = (
        f"dim-emb: {_EMB}\ntransformer-heads: 1\nenc-depth: 1\ndec-depth: 1\n"
        "transformer-dim-ffn: 16\n"
    )
    items = [(name, _FLOAT32, array.shape, _data(array)) for name, array in weights.items()]
    text = config.encode() + b"\0"
    items.append(("special:model.yml", _YAML, (len(text),), text))
    head = struct.pack("<QQ", 1, len(items))
    for name, kind, shape, data in items:
        head += struct.pack("<QQQQ", len(name) + 1, kind, len(shape), len(data))
    head += b"".join(name.encode() + b"\0" for name, *_ in items)
    head += b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in items)
    padding = -(len(head) + 8) % 256
    return head + struct.pack("<Q", padding) + bytes(padding) + b"".join(data for *_, data in items)


def _data(array: Array) -> bytes:
    packed = array.astype("<f4").tobytes()
    return packed + bytes(-len(packed) % 256)


def _vocabulary(pieces: Sequence[str]) -> bytes:
    """A SentencePiece model: pieces, the trainer's and the normaliser's specification."""
    made = bytearray()
    for piece in pieces:
        score = struct.pack("<f", -10.0 if piece == "▁" else -1.0)
        kind = bytes([_kind(piece)])
        made += _field(1, _field(1, piece.encode()) + b"\x15" + score + b"\x18" + kind)
    made += _field(2, b"\x18\x01" + b"\x20" + _varint(len(pieces)))
    return bytes(made + _field(3, _field(1, b"identity")))


def _kind(piece: str) -> int:
    if piece.startswith("<0x"):
        return _BYTE
    return {"<unk>": _UNKNOWN, "<s>": _CONTROL, "</s>": _CONTROL}.get(piece, _NORMAL)


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])
