"""Where sets of images come from: published files, folders, archives, tables."""
