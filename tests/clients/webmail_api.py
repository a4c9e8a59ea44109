"""The webmail's JSON interface: who is let in, what is refused, and that answers are what the OpenAPI description says.

The steps are in the files `api_*.py`; later ones need what earlier ones have done.
"""

import api_access
import api_contacts
import api_events
import api_letters
import api_messages
import api_preferences
from server import main

main(
    api_access.it_describes_itself,
    api_access.only_who_has_signed_in,
    api_access.guessers_are_banned_together_with_imap,
    api_messages.folders,
    api_letters.a_letter_is_sent_once,
    api_letters.what_must_not_be_sent_is_not,
    api_letters.drafts_grow,
    api_messages.marks_moves_and_search,
    api_messages.moves_teach_the_filter,
    api_messages.hostile_mail_is_tame,
    api_access.answers_are_kept_for_one_account,
    api_access.nobody_reads_the_mail_of_others,
    api_messages.changes_are_told,
    api_messages.messages_are_taken_over,
    api_preferences.preferences_are_kept,
    api_preferences.devices_are_set_up,
    api_messages.what_outlook_packs_is_unpacked,
    api_contacts.contacts_are_edited,
    api_contacts.groups_of_contacts_are_written_to,
    api_messages.lists_are_by_date,
    api_messages.lists_can_be_left,
    api_contacts.contacts_come_by_mail,
    api_contacts.contacts_go_into_files_and_come_back,
    api_letters.receipts_are_sent_once,
    api_letters.receipts_go_although_the_browser_leaves,
    api_events.invitations_are_answered,
    api_events.answers_are_noted_in_ones_own_event,
    api_preferences.rules_are_a_script,
    api_messages.messages_are_grouped,
    api_access.too_much_is_refused,
    api_access.logins_end,
)
