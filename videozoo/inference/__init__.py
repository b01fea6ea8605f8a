"""From a raw video to an answer: views, prediction, fusion."""
