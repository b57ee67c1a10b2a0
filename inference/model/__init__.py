"""The seeing: the only room that imports torch, transformers and peft (with the miniature's training)."""
