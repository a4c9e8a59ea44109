# State shared by the rollback of a failed switch, the activation before it and the gate of destructive changes.
rec {
  # Exists while a switch is undone.
  undoing = "/run/postrider-undoing";
  # What ran before the last switch, until its listeners have answered.
  before = "/run/postrider-before";
  # Of the activation: while a switch goes on, this is still the system before it.
  noteBefore = ''
    before=$(readlink -e /run/current-system 2>/dev/null || :)
    if [ -n "$before" ] && [ "$before" != "$systemConfig" ]; then
      echo "$before" >${before}
    fi
  '';
}
