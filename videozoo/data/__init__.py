"""From video files to batches: decoding, sampling, transforms, data sets, data modules."""
