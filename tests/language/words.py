"""The languages of the hand-made models: Indonesian, English, French, in fifteen words."""

from functools import cache

from tests.language import marian
from tests.language.marian import Marian

ENGLISH = {
    "pemerintah": "government", "mengumumkan": "announces", "harga": "price", "naik": "rises",
    "di": "in", "jakarta": "Jakarta", "saya": "I", "makan": "eat", "baru": "new", "kota": "city",
    "rumah": "house", "hujan": "rain", "banjir": "flood", "warga": "residents", "besar": "big",
}  # fmt: skip
FRENCH = {
    "government": "gouvernement", "announces": "annonce", "price": "prix", "rises": "monte",
    "in": "dans", "Jakarta": "Djakarta", "I": "je", "eat": "mange", "new": "nouveau",
    "city": "ville", "house": "maison", "rain": "pluie", "flood": "crue", "residents": "habitants",
    "big": "grand",
}  # fmt: skip

SENTENCE = "pemerintah mengumumkan harga naik di jakarta."
IN_ENGLISH = "government announces price rises in Jakarta."
IN_FRENCH = "gouvernement annonce prix monte dans Djakarta."


@cache
def id_en(by_bytes: str = "", unused: int = 0) -> Marian:
    return marian.make(ENGLISH, by_bytes=by_bytes, unused=unused)


@cache
def en_fr() -> Marian:
    return marian.make(FRENCH)
