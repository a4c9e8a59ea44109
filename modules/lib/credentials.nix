# Where a unit finds its credentials. systemd says so only to units that get any; but the configuration names those of all roles, and
# whoever gets none must be able to read it as well.
{
  credentialsDirectory = "CREDENTIALS_DIRECTORY=%d";

  # A password file that is missing is the fault of one user: without something in its place systemd would not start the unit at all.
  # It does not take an empty text for something.
  standIns = map (password: "${password.credential}:\\n");
}
