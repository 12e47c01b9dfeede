"""Volumes outside of any engine: what an archive of one holds, and the files in which archives are kept."""
