"""Make `fieldtrail` of this checkout runnable in the virtual environment, without building anything.

An editable install would fetch a build backend from outside the hash-pinned set; a path file and a starter do the same.
"""

import sys
import sysconfig
from pathlib import Path

root = Path(__file__).resolve().parent.parent
(Path(sysconfig.get_path("purelib")) / "fieldtrail.pth").write_text(f"{root}\n", encoding="utf-8")
starter = Path(sysconfig.get_path("scripts")) / "fieldtrail"
starter.write_text(
    f"#!{sys.executable}\nimport sys\n\nfrom shipper.cli import main\n\nsys.exit(main())\n", encoding="utf-8"
)
starter.chmod(0o755)
