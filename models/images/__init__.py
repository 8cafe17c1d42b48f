"""Images: from bytes and places to pixels and the patch grid."""
