"""What the page offers to start with, and short scripts that show how to use it from outside."""
