# Where a unit finds its credentials. systemd says so only to units that get any; but the configuration names those of all roles, and
# whoever gets none must be able to read it as well.
{
  credentialsDirectory = "CREDENTIALS_DIRECTORY=%d";
}
