"""Every flag and environment variable: text comes in, validated options go out."""
