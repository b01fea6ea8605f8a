"""What a backbone sees instead of raw frames: clip in, clip out, one file an idea."""
