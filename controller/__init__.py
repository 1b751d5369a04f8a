"""The controller: writes plans, signs orders, carries live sound, and knows how every cluster is."""
