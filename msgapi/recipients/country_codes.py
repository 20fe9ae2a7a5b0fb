"""Country codes of phone numbers, with the lengths of the numbers of each: enough to check a number in E.164.

Rules:
- The table is made from the metadata of phonenumberslite by `tests/support/country_codes.py`, and stored here so that
  a number in E.164 is checked without that library: faster, and in the same way whatever version is installed.
- "Possible", not "valid": only the country code, the length and the first digits count, so that numbers for tests and
  numbers of new ranges pass.
"""

from functools import cache, lru_cache
from typing import Final, final

from attrs import frozen

VERSION: Final = "9.0.42"
"""The version of phonenumberslite whose metadata the table has."""

_LONGEST: Final = 15  # digits of a number in E.164
_SHORTEST: Final = 7  # digits that the service accepts

# Country code, lengths without it, trunk prefix, what no number begins with, and regions, the main one first.
TABLE: Final = """
1 10 1 0,1 US AG AI AS BB BM BS CA DM DO GD GU JM KN KY LC MP MS PR SX TC TT VC VG VI
7 10,14 8 0 RU KZ
20 8-10 0 0 EG
27 5-10 0 0 ZA
30 10-12 - 0 GR
31 5-11 0 0 NL
32 8-9 0 0 BE
33 9 0 0 FR
34 9 - 0 ES
36 8-9 06 0 HU
39 6-12 - - IT VA
40 6,9 0 0 RO
41 9,12 0 0 CH
43 4-13 0 0 AT
44 7,9-10 0 0 GB GG IM JE
45 8 - 0 DK
46 6-10,12 0 0 SE
47 5,8 - - NO SJ
48 6-10 - 0 PL
49 4-15 0 0 DE
51 8-9 0 0 PE
52 10 - 0 MX
53 6-8,10 0 0 CU
54 10-11 0 0 AR
55 8-11 0 0 BR
56 9-11 - 0 CL
57 8,10-11 0 0 CO
58 10 0 0 VE
60 8-10 0 0 MY
61 5-10,12 0 0 AU CC CX
62 7-17 0 01,02,03,04,05,06,07,08,09 ID
63 6,8-13 0 0 PH
64 5-10 0 0 NZ
65 8,10-11 - 0 SG
66 8-10,13 0 01,02,03,04,05,06,07,08,09 TH
81 8-17 0 01,02,03,04,05,06,07,08,09 JP
82 5-6,8-14 0 01,02,03,04,05,06,07,08,09 KR
84 7-10 0 0 VN
86 7-12 0 0 CN
90 7,10,12-13 0 0 TR
91 8-13 0 01,02,03,04,05,06,07,08,09 IN
92 8-12 0 0 PK
93 9 0 0 AF
94 9 0 0 LK
95 6-10 0 0 MM
98 4-7,10 0 0 IR
211 9 0 0 SS
212 9 0 0 MA EH
213 8-9 0 0 DZ
216 8 - 0 TN
218 9 0 0 LY
220 7,9 - 0 GM
221 9 - 0 SN
222 8 - 0 MR
223 8 - 0 ML
224 8-9 - 0 GN
225 10 - - CI
226 8 - - BF
227 8 - - NE
228 8 - 0 TG
229 8,10 - 00,02,03,04,05,06,07,08,09 BJ
230 7-8,10 - 0 MU
231 7-9 0 0 LR
232 8 0 0 SL
233 8-9 0 0 GH
234 10-14 0 0 NG
235 8 - 0 TD
236 8 - 0 CF
237 8-9 - 0 CM
238 7 - 0 CV
239 7 - 0 ST
240 9 - 0 GQ
241 7-8 - - GA
242 9 - - CG
243 7-10 0 0 CD
244 9 - 0 AO
245 7,9 - 0 GW
246 7 - 0 IO
247 5-6 - - AC
248 7 - 0 SC
249 9 0 0 SD
250 8-9 0 00,01,02,03,04,05,07,08,09 RW
251 9 0 0 ET
252 6-9 0 0 SO
253 8 - 0 DJ
254 7-10 0 0 KE
255 9 0 0 TZ
256 9 0 0 UG
257 8 - 0 BI
258 8-9 - 0 MZ
260 9 0 0 ZM
261 9 0 0 MG
262 9 0 0 RE YT
263 7,9-10 0 0 ZW
264 8-9 0 0 NA
265 7,9 0 0 MW
266 8 - 0 LS
267 7-8,10 - 00,01,02,03,04,05,06,07,09 BW
268 8-9 - 00,01,02,03,04,05,06,07,09 SZ
269 7 - 0 KM
290 4-5 - 0 SH TA
291 7 0 0 ER
297 7 - 0 AW
298 6 - 0 FO
299 6 - 0 GL
350 8 - 0 GI
351 9 - 0 PT
352 4-11 - 0 LU
353 7-10 0 0 IE
354 7,9 - 0 IS
355 6-9 0 0 AL
356 8 - 0 MT
357 8 - 0 CY
358 5-12 0 0 FI AX
359 6-9,12 0 01,02,03,04,05,06,07,08,09 BG
370 8 0 0 LT
371 8 - 0 LV
372 7-8,10 - 0 EE
373 8 0 0 MD
374 8 0 0 AM
375 6-11 8 0 BY
376 6,8-9 - 0 AD
377 8-9 0 0 MC
378 8,10 - 00,01,02,03,04,06,07,08,09 SM
380 9-10 0 0 UA
381 6-12 0 0 RS
382 8-9 0 0 ME
383 8-12 0 0 XK
385 7-9 0 0 HR
386 5-8 0 0 SI
387 8-9 0 0 BA
389 8 0 0 MK
420 9-12 - 0 CZ
421 6-7,9 0 0 SK
423 7,9 0 0 LI
500 5 - 0 FK
501 7,11 - 00,01,02,03,04,05,06,07,09 BZ
502 8,11 - 0 GT
503 7-8,11 - 0 SV
504 8,11 - 0 HN
505 8 - 0 NI
506 8,10 - 0 CR
507 7-8,10-11 - 01,02,03,04,05,06,07,08,09 PA
508 6,9 0 0 PM
509 8 - 0 HT
590 9 0 0 GP BL MF
591 8-9 0 0 BO
592 7 - 0 GY
593 8-11 0 0 EC
594 9 0 0 GF
595 6-11 0 0 PY
596 9 0 0 MQ
597 6-7 - 0 SR
598 4-13 0 01,02,03,04,05,06,07,08,09 UY
599 7-8 - 0 CW BQ
670 7-8 - 0 TL
672 6 - 0 NF
673 7 - 0 BN
674 7 - 0 NR
675 7-8 - 0 PG
676 5,7 - 00,01,02,03,04,05,06,07,09 TO
677 5,7 - 0 SB
678 5,7 - 0 VU
679 7,11 - 00,01,02,03,04,05,06,07,09 FJ
680 7 - 0 PW
681 6,9 - 0 WF
682 5 - 0 CK
683 4,7 - 0 NU
685 5-7,10 - 0 WS
686 5,8 0 0 KI
687 6 - 00,01,02,03,04,06,07,08,09 NC
688 5-7 - 0 TV
689 6,8-9 - 0 PF
690 4-7 - 0 TK
691 7 - 0 FM
692 7 1 0,1 MH
800 8 - 01,02,03,04,05,06,07,08,09 -
808 8 - 0 -
850 8,10 0 0 KP
852 5-9,11 - 0 HK
853 7-8 - 00,01,02,03,04,05,06,07,09 MO
855 8-10 0 0 KH
856 8-10 0 0 LA
870 9,12 - 0 -
878 12 - 0 -
880 6-10 0 0 BD
881 9-10 - - -
882 7-12 - 0 -
883 8-12 - 0 -
886 7-11 0 0 TW
888 11 - - -
960 7,10 - 0 MV
961 7-8 0 0 LB
962 8-9 0 0 JO
963 8-9 0 0 SY
964 8-10 0 0 IQ
965 7-8 - 0 KW
966 9-10 0 0 SA
967 7-9 0 0 YE
968 7-9 - 0 OM
970 8-10 0 0 PS
971 5-12 0 0 AE
972 7-12 0 0 IL
973 8 - 0 BH
974 7-9,11 - 01,02,03,04,05,06,07,08,09 QA
975 7-8 - 0 BT
976 8-10 0 0 MN
977 8,10-11 0 0 NP
979 9 - 0 -
992 9 - - TJ
993 8 8 0,8 TM
994 9 0 0 AZ
995 9 0 0 GE
996 9-10 0 0 KG
998 9 - 0 UZ
"""

# Region, its code of three letters, and usual names in English and German.
NAMES: Final = """
AE ARE|United Arab Emirates|Vereinigte Arabische Emirate
AL ALB|Albania|Albanien
AR ARG|Argentina|Argentinien
AT AUT|Austria|Österreich|Oesterreich
AU AUS|Australia|Australien
BA BIH|Bosnia and Herzegovina|Bosnien und Herzegowina
BE BEL|Belgium|Belgien
BG BGR|Bulgaria|Bulgarien
BR BRA|Brazil|Brasilien
CA CAN|Canada|Kanada
CH CHE|Switzerland|Schweiz
CL CHL|Chile
CN CHN|China
CO COL|Colombia|Kolumbien
CY CYP|Cyprus|Zypern
CZ CZE|Czech Republic|Czechia|Tschechien|Tschechische Republik
DE DEU|GER|Germany|Deutschland
DK DNK|Denmark|Dänemark|Daenemark
EE EST|Estonia|Estland
EG EGY|Egypt|Ägypten
ES ESP|Spain|Spanien
FI FIN|Finland|Finnland
FR FRA|France|Frankreich
GB GBR|United Kingdom|Great Britain|Vereinigtes Königreich|Großbritannien
GR GRC|Greece|Griechenland
HK HKG|Hong Kong|Hongkong
HR HRV|Croatia|Kroatien
HU HUN|Hungary|Ungarn
ID IDN|Indonesia|Indonesien
IE IRL|Ireland|Irland
IL ISR|Israel
IN IND|India|Indien
IS ISL|Iceland|Island
IT ITA|Italy|Italien
JP JPN|Japan
KR KOR|South Korea|Südkorea
LI LIE|Liechtenstein
LT LTU|Lithuania|Litauen
LU LUX|Luxembourg|Luxemburg
LV LVA|Latvia|Lettland
MA MAR|Morocco|Marokko
ME MNE|Montenegro
MK MKD|North Macedonia|Nordmazedonien
MT MLT|Malta
MX MEX|Mexico|Mexiko
MY MYS|Malaysia
NG NGA|Nigeria
NL NLD|Netherlands|The Netherlands|Niederlande
NO NOR|Norway|Norwegen
NZ NZL|New Zealand|Neuseeland
PH PHL|Philippines|Philippinen
PL POL|Poland|Polen
PT PRT|Portugal
RO ROU|Romania|Rumänien
RS SRB|Serbia|Serbien
RU RUS|Russia|Russian Federation|Russland
SA SAU|Saudi Arabia|Saudi-Arabien
SE SWE|Sweden|Schweden
SG SGP|Singapore|Singapur
SI SVN|Slovenia|Slowenien
SK SVK|Slovakia|Slowakei
TH THA|Thailand
TN TUN|Tunisia|Tunesien
TR TUR|Turkey|Türkiye|Türkei
TW TWN|Taiwan
UA UKR|Ukraine
US USA|United States|United States of America|Vereinigte Staaten
VN VNM|Vietnam
XK XKX|Kosovo
ZA ZAF|South Africa|Südafrika
"""


@final
@frozen(eq=False)
class CountryCode:
    """The numbers of one country *code*, such as `49`.

    *lengths* are the possible numbers of digits after the code, *trunk* is the prefix of the national format, empty if
    there is none, and *never* what no number begins with after the code. *regions* are ISO 3166 codes.
    """

    code: str
    lengths: frozenset[int]
    trunk: str
    never: tuple[str, ...]
    regions: tuple[str, ...]


@cache
def country_codes() -> dict[str, CountryCode]:
    """Return the country codes by their digits."""
    return {line.split(" ", 1)[0]: _parse(line) for line in TABLE.strip().splitlines()}


@cache
def regions() -> dict[str, CountryCode]:
    """Return the country code of each region."""
    return {region: one for one in country_codes().values() for region in one.regions}


def find_country_code(digits: str) -> CountryCode | None:
    """Return the country code with which *digits* begin; None if there is none."""
    known = country_codes()
    return known.get(digits[:1]) or known.get(digits[:2]) or known.get(digits[:3])


@lru_cache(256)  # a file has few of them, in every row
def find_region(text: str) -> str | None:
    """Return the ISO 3166 code of two letters for the region named *text*; None if it is not known.

    *text* is a code of two or three letters, or a usual English or German name of the country, in any case.
    """
    name = " ".join(text.casefold().split())
    return _names().get(name)


@cache
def _names() -> dict[str, str]:
    found = {region.casefold(): region for region in regions()} | {"uk": "GB", "el": "GR"}
    for line in NAMES.strip().splitlines():
        region, names = line.split(" ", 1)
        found |= {name.casefold(): region for name in names.split("|")}
    return found


_HEAD: Final = 6  # the sign, the country code and two more digits
_MOST_KEPT: Final = 10_000
_masks: Final[dict[str, int]] = {}


def is_possible(text: str) -> bool:
    """Return whether *text* is a possible phone number in E.164."""
    head = text[:_HEAD]
    mask = _masks.get(head)
    if mask is None:
        mask = _find_mask(head)
    return mask >> len(text) & 1 == 1 and text.isascii() and text[1:].isdigit()


def _find_mask(head: str) -> int:
    # The possible lengths of a text that begins with *head*, as bits.
    if len(_masks) >= _MOST_KEPT:
        _masks.clear()
    mask = 0
    code = find_country_code(head[1:]) if head[:1] == "+" else None
    if code is not None and not head[1 + len(code.code) :].startswith(code.never):
        totals = [len(code.code) + length for length in code.lengths]
        mask = sum(1 << (1 + total) for total in totals if _SHORTEST <= total <= _LONGEST)
    _masks[head] = mask
    return mask


def _parse(line: str) -> CountryCode:
    code, lengths, trunk, never, *regions = line.split(" ")
    bounds = [[int(bound) for bound in one.split("-")] for one in lengths.split(",")]
    return CountryCode(
        code=code,
        lengths=frozenset(length for one in bounds for length in range(one[0], one[-1] + 1)),
        trunk=trunk.strip("-"),
        never=() if never == "-" else tuple(never.split(",")),
        regions=() if regions == ["-"] else tuple(regions),
    )
