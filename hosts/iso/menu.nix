# The menu on the console of the image, plain enough for a serial line. It changes the running system only: after a restart
# the image is as it was. Only the installation changes a disk.
{ pkgs }:
pkgs.writeShellApplication {
  name = "postrider-menu";
  # `ip`, `postrider` and `postrider-install` are those of the system.
  text = ''
    ask() {
      # An end of the input is the end of the menu, not an empty answer for ever.
      read -r -p "$1: " "$2" || exit 0
    }
    addresses() {
      echo "This machine's addresses (IMAP on port 993, submission on port 465):"
      ip -brief address show scope global
    }
    password() {
      local user word again
      postrider user list
      ask "Whose password (such as ann@example.test)" user
      read -r -s -p "New password: " word && echo
      read -r -s -p "Once more: " again && echo
      if [ -z "$word" ] || [ "$word" != "$again" ]; then
        echo "The two are not the same; nothing is changed."
        return
      fi
      postrider user passwd "$user" <<<"$word"
    }
    network() {
      local card address router sure
      ip -brief link show
      ask "Which card" card
      ask "Address with its prefix (such as 192.0.2.10/24)" address
      ask "Router (empty for none)" router
      echo "To do: ip address replace $address dev $card''${router:+; ip route replace default via $router dev $card}"
      ask "Do it? (yes/no)" sure
      [ "$sure" = yes ] || { echo "Nothing is changed."; return; }
      ip address replace "$address" dev "$card" && ip link set "$card" up
      [ -z "$router" ] || ip route replace default via "$router" dev "$card"
    }
    status() {
      postrider status
      postrider queue list
    }

    choice=""
    while true; do
      cat <<'MENU'

      Postrider

      1  addresses of this machine
      2  give a user a password
      3  set an address by hand
      4  how the server is doing
      5  install on a disk of this machine
      6  a shell (`postrider-menu` comes back here)

    MENU
      ask "Which" choice
      # A mistake is shown and leads back to the menu.
      case $choice in
        1) addresses || true ;;
        2) password || true ;;
        3) network || true ;;
        4) status || true ;;
        5) postrider-install || true ;;
        6) exit 0 ;;
        *) echo "One of 1 to 6, please." ;;
      esac
    done
  '';
}
