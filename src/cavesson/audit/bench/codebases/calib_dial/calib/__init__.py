"""Calibration of a classifier before and after fine-tuning with a reward."""
