"""What the scripts that write bench/REPORT.md share."""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()

# The parts of the report in their order.
HEADINGS = ("# Measured beside other libraries", "# Over HTTP")


def environment(name, requirements):
    """The folder of programs of an environment under the target folder, which is made when it is not there or is out of date."""
    folder, requirements = TARGET / name, HERE / requirements
    wanted, stamp, programs = requirements.read_text(), folder / "requirements.txt", folder / "bin"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        stamp.write_text(wanted)
    return programs


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(": ", 1)[1]
    return "unknown"


def commit():
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return told or "an unknown commit"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| --: " * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def keep(part, out=HERE):
    """Puts a part, which begins with its heading, into the place of the one of that heading; the other parts stay as they are."""
    file, heading = out / "REPORT.md", part.splitlines()[0]
    parts = ("\n" + file.read_text()).split("\n# ")[1:] if file.exists() else []
    parts = [part, *(f"# {old}" for old in parts if f"# {old}".splitlines()[0] != heading)]
    file.write_text("\n".join(part.strip() + "\n" for part in sorted(parts, key=lambda part: HEADINGS.index(part.splitlines()[0]))))
