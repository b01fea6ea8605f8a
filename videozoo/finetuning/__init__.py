"""A checkpoint and a folder of videos become a checkpoint of one's own: `videozoo finetune`."""
