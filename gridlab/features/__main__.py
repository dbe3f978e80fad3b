"""Write the table of all columns into a page: ``python -m gridlab.features docs/features.md``."""

import sys

from gridlab.features.document import update

if __name__ == "__main__":
    update(sys.argv[1] if len(sys.argv) > 1 else "docs/features.md")
