# The menu on the console of the image, plain enough for a serial line. It changes the running system only: after a restart
# the image is as it was. Only the installation changes a disk; it begins with what was set up here.
{ pkgs }:
pkgs.writeShellApplication {
  name = "postrider-menu";
  # `ip`, `postrider` and `postrider-install` are those of the system.
  runtimeInputs = [ pkgs.openssl ];
  text = ''
    name="" domain="" user=""
    ask() {
      # The end of the input ends the menu, instead of giving endless empty answers.
      read -r -p "$1: " "$2" || exit 0
    }
    ${import ./questions.nix}
    addresses() {
      echo "This machine's addresses (IMAP on port 993, submission on port 465):"
      ip -brief address show scope global
    }
    ask_password() {
      read -r -s -p "New password: " word && echo
      read -r -s -p "Once more: " again && echo
      if [ -z "$word" ] || [ "$word" != "$again" ]; then
        echo "The two are not the same; nothing was changed."
        return 1
      fi
    }
    password() {
      local user word again
      postrider user list
      ask "Whose password (such as ann@example.test)" user
      ask_password || return
      postrider user passwd "$user" <<<"$word"
    }
    network() {
      local card address router server sure
      ip -brief link show
      ask "Which card" card
      ask "Address with its prefix (such as 192.0.2.10/24)" address
      ask "Router (empty for none)" router
      ask "Name server (empty for none)" server
      # An installation writes them into the configuration.
      [[ $address =~ ^[0-9A-Fa-f.:]+/[0-9]+$ && $router$server =~ ^[0-9A-Fa-f.:]*$ ]] || {
        echo "Addresses are numbers, and the first one has its prefix; nothing was changed."
        return
      }
      echo "To do: ip address replace $address dev $card''${router:+; ip route replace default via $router dev $card}''${server:+; nameserver $server}"
      ask "Do it? (yes/no)" sure
      [ "$sure" = yes ] || { echo "Nothing was changed."; return; }
      ip address replace "$address" dev "$card" && ip link set "$card" up || return
      [ -z "$router" ] || ip route replace default via "$router" dev "$card" || return
      if [ -z "$server" ]; then
        :
      elif command -v resolvconf >/dev/null; then
        echo "nameserver $server" | resolvconf -m 0 -a "$card.menu"
      else
        echo "nameserver $server" >/etc/resolv.conf
      fi
      mkdir -p "$remembered"
      printf '%s\n' "$card" "$address" "$router" "$server" >"$remembered/network"
    }
    # The name is in the configuration file, which is part of the image: a new file is mounted over it.
    greet_as() {
      local certificates=/var/lib/postrider-self-signed file=/etc/postrider/postrider.toml mine=$remembered/postrider.toml
      mkdir -p "$remembered" "$certificates"
      # The second time it is read from that one.
      sed "0,/^hostname *=/s|^hostname *=.*|hostname = \"$name\"|" "$file" >"$mine.new" || return
      umount "$file" 2>/dev/null || true
      mv "$mine.new" "$mine" && mount --bind "$mine" "$file" || return
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Postrider self-signed" \
        -addext "subjectAltName=DNS:$name,DNS:localhost" \
        -keyout "$certificates/key.pem" -out "$certificates/cert.pem" 2>/dev/null || return
      systemctl restart postrider-certificates.service || return
      systemctl restart postrider-access.service postrider-mta.service postrider-dashboard.service || return
      { echo "''${name%%.*}" >/proc/sys/kernel/hostname; } 2>/dev/null || true
    }
    set_up() {
      local word again
      ask_who || return
      echo "Password for $user@$domain"
      ask_password || return
      postrider domain list | grep -qw -F -- "$domain" || postrider domain add "$domain" || return
      postrider user add "$user@$domain" <<<"$word" || return
      greet_as || return
      printf '%s\n' "$name" "$domain" "$user" >"$remembered/who"
      echo "This server is now $name, with mail for $user@$domain."
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
      7  name of this server, domain and first user

    MENU
      ask "Which" choice
      # An error is shown and returns to the menu.
      case $choice in
        1) addresses || true ;;
        2) password || true ;;
        3) network || true ;;
        4) status || true ;;
        5) postrider-install || true ;;
        6) exit 0 ;;
        7) set_up || true ;;
        *) echo "Please enter a number from 1 to 7." ;;
      esac
    done
  '';
}
