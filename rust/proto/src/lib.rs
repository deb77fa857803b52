//! Sans-I/O codecs of dscore.
