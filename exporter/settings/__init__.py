"""Every option, declared once: flags, variables and keywords come in, checked options go out."""
