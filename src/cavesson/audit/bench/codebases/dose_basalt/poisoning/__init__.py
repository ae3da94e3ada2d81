"""How many poisoned documents does a backdoor take?"""
