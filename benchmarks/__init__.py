"""Speed of trimtab's parts beside what one would use instead; `make bench`, docs/performance.md.

The matrices are small: threads would only wait for each other. So every library of the comparison
gets one thread, ours and theirs, and must be told before it is imported.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
