"""Archives of pictures that anyone may have made, brought to an image folder of ours. No torch."""
