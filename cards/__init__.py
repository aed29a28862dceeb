"""Templates of the cards; installed as freeal_hf.card_templates."""
