# What the undoing of a failed switch and the gate of destructive changes know of each other.
{
  # There while a switch is undone.
  undoing = "/run/postrider-undoing";
}
