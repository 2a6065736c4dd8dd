"""Named image collections as arrays and batches; the only owner of the pixel range."""
