"""What every service needs and no service is. Imports neither services nor the gateway."""
