"""Check the built distributions in a folder, for `nox -s package`: `python tests/support/check_distribution.py FOLDER`.

The wheel must have every file of the package and nothing else; the description must have no link that only works in the
repository; the source distribution must have what its own tests need.
"""

import re
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).parents[2]
RELATIVE = re.compile(r"\]\((?!https:|#)[^)]+\)")
NEEDED = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "noxfile.py",
    "pyproject.toml",
    "tests/conftest.py",
    "docs/conf.py",
)


def check_wheel(path: Path) -> list[str]:
    """Return what is wrong with the wheel at *path*."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        described = message_from_bytes(wheel.read(metadata))
    package = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "msgapi").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    text = f"{described.get_payload()}"
    return [
        *(f"the wheel lacks {name}" for name in sorted(package - names)),
        *(f"the wheel has {name}" for name in sorted(names - package)),
        *(f"the description has the relative link {link}" for link in RELATIVE.findall(text)),
        *(f"the description has the comment {one}" for one in re.findall(r"<!--.*?-->", text)),
    ]


def check_sdist(path: Path) -> list[str]:
    """Return what is wrong with the source distribution at *path*."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    return [f"the source distribution lacks {name}" for name in NEEDED if name not in names]


def main(folder: str) -> int:
    """Check the only wheel and the only source distribution in *folder*; return the exit status."""
    (wheel,), (sdist,) = Path(folder).glob("*.whl"), Path(folder).glob("*.tar.gz")
    problems = [*check_wheel(wheel), *check_sdist(sdist)]
    print("\n".join(problems) or f"{wheel.name} and {sdist.name} are complete")  # noqa: T201 - what it is run for
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
