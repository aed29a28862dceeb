"""What `freeal-hf space deploy` uploads; in the wheel as `freeal_hf.space_app`."""
