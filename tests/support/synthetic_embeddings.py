"""Files of external embeddings."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write(path, ids, embeddings):
    """Write ids and embeddings as `.npz` or `.parquet`, and return the path."""
    if path.suffix == ".npz":
        np.savez(path, ids=np.array(ids), embeddings=embeddings)
    else:
        column = pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel(), pa.float32()), embeddings.shape[1])
        pq.write_table(pa.table({"id": pa.array(ids, pa.string()), "embedding": column}), path)
    return path
