"""What a controller shows over HTTP: real requests on a free port, a controller over the simulated fleet in virtual time."""
