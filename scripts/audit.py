"""`make audit`: audits locked dependencies for known vulnerabilities.

Old targets that `make targets` alone installs, for made-up data, are left out.

The exit code is 1 if there are any, or if a lock cannot be read. If the service cannot be
reached, or does not know a package, the audit says so and passes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AUDIT = (
    *(str(ROOT / ".venvs" / "audit" / "bin" / "pip-audit"), "--format", "json", "--no-deps"),
    *("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--timeout", "20"),
)
LEFT_OUT = {"target-postgres-pipelinewise", "target-s3", "target-s3-csv", "target-singer-jsonl"}
FOUND = 1
UNREACHABLE = ("ConnectionError", "ServiceError", "Timeout", "Max retries", "resolve")


def audit(lock: Path) -> bool:
    """Report on one lock; returns whether the audit of it failed."""
    done = subprocess.run(  # noqa: S603 - our own pip-audit
        [*AUDIT, "--requirement", str(lock)], capture_output=True, text=True, check=False
    )
    name = lock.relative_to(ROOT)
    if done.returncode not in (0, FOUND) or not done.stdout.startswith("{"):
        is_offline = any(word in done.stderr for word in UNREACHABLE)
        what = "skipped: service unreachable" if is_offline else "FAILED"
        print(f"{name}: {what} ({reason(done.stderr)})")
        return not is_offline
    dependencies = json.loads(done.stdout)["dependencies"]
    known = [entry for entry in dependencies if entry.get("vulns")]
    for entry in known:
        ids = ", ".join(vulnerability["id"] for vulnerability in entry["vulns"])
        print(f"{name}: {entry['name']} {entry['version']}: {ids}")
    skipped = sum("skip_reason" in entry for entry in dependencies)
    checked = len(dependencies) - skipped
    if skipped:
        print(f"{name}: {skipped} packages skipped: service unreachable, or package unknown")
    print(f"{name}: {checked} packages audited, {len(known)} with known vulnerabilities")
    return bool(known)


def reason(log: str) -> str:
    """The beginning of a log's last line, without any addresses."""
    lines = log.strip().splitlines() or ["no reason given"]
    return lines[-1].partition(":")[0][:100]


def main() -> None:
    """Audit the locks."""
    locks = sorted((ROOT / "locks").glob("*.txt"))
    found = [audit(lock) for lock in locks if lock.stem not in LEFT_OUT]
    sys.exit(1 if any(found) else 0)


if __name__ == "__main__":
    main()
