package MailhiveAdapter;

# What fastmail/JMAP-TestSuite asks of a server, answered for any server with a
# Session resource (RFC 8620 §2) and a command that makes accounts.  The file that
# JMAP_SERVER_ADAPTER_FILE names holds a JSON object:
#
#   adapter      "=MailhiveAdapter"
#   session_url  of the Session resource; Basic authentication has to do there
#   add_user     a list, the command and its arguments, that makes an account of
#                one mailbox, the Inbox; "{user}" stands for its name, and the
#                password comes on the standard input
#   domain       "{user}" is an address there; "localhost" if left out
use Moose;
use Data::GUID ();

has session_url => (is => 'ro', isa => 'Str', required => 1);
has add_user    => (is => 'ro', isa => 'ArrayRef[Str]', required => 1);
has domain      => (is => 'ro', isa => 'Str', default => 'localhost');

# Most tests are content with an account that others have used.  Each test file
# is a process, so that this is one account for each file.
has any_account => (is => 'ro', lazy => 1, builder => 'pristine_account');

with 'JMAP::TestSuite::ServerAdapter';

sub can_use_websockets { 1 }

sub pristine_account {
  my ($self) = @_;
  my $user     = lc(Data::GUID->guid_string) . '@' . $self->domain;
  my $password = Data::GUID->guid_string;
  my @command  = map { s/\{user\}/$user/gr } @{ $self->add_user };

  # The standard output of this process is TAP: nothing else may go there.
  my $pid = open(my $input, '|-') // die "cannot fork: $!\n";
  unless ($pid) {
    open(STDOUT, '>&', \*STDERR) && exec { $command[0] } @command;
    die "cannot run $command[0]: $!\n";
  }
  print {$input} "$password\n";
  close($input) || die "@command failed: status $?\n";

  return MailhiveAdapter::Account->of($self, $user, $password);
}

__PACKAGE__->meta->make_immutable;

package MailhiveAdapter::Account;
use Moose;
use JSON ();
use LWP::UserAgent ();
use MIME::Base64 ();
use Module::Runtime ();
use Moo::Role ();
use URI ();

with 'JMAP::TestSuite::Account';

has authorization => (is => 'ro', required => 1);
has session       => (is => 'ro', required => 1);

sub of {
  my ($class, $server, $user, $password) = @_;
  my $authorization = 'Basic ' . MIME::Base64::encode_base64("$user:$password", '');
  my $response = LWP::UserAgent->new->get(
    $server->session_url,
    Authorization => $authorization,
    Accept        => 'application/json',
  );
  die 'no Session: ' . $response->as_string unless $response->is_success;

  my $session = JSON::decode_json($response->decoded_content(charset => 'none'));
  return $class->new({
    server        => $server,
    accountId     => $session->{primaryAccounts}{'urn:ietf:params:jmap:mail'},
    authorization => $authorization,
    session       => $session,
  });
}

sub authenticated_tester {
  my ($self)  = @_;
  my $session = $self->session;
  my $url     = sub { URI->new_abs($_[0], $self->server->session_url)->as_string };

  # The suite expands templates itself, but knows less of them: its calls leave
  # out the accountId, which RFC 8620 §5 requires, and its downloads the type.
  my %arguments = (
    api_uri           => $url->($session->{apiUrl}),
    upload_uri        => _expanded($session->{uploadUrl}, accountId => $self->accountId),
    download_uri      => _expanded($session->{downloadUrl}, type => 'application%2Foctet-stream'),
    default_arguments => { accountId => $self->accountId },
  );
  my $class = 'JMAP::TestSuite::JMAP::Tester::WithSugar';
  if ($self->server->use_websockets) {
    $class = 'JMAP::TestSuite::JMAP::Tester::WebSocket::WithSugar';
    my $capability = $session->{capabilities}{'urn:ietf:params:jmap:websocket'};
    $arguments{ws_api_uri}    = $capability->{url} // die "the server has no WebSocket\n";
    $arguments{authorization} = $self->authorization;
  }
  my $tester = Module::Runtime::use_module($class)->new(\%arguments);
  $tester->ua->set_default_header(Authorization => $self->authorization);
  Moo::Role->apply_roles_to_object($tester, 'MailhiveAdapter::AsPublished');
  return $tester;
}

sub _expanded {
  my ($template, %values) = @_;
  return $template =~ s/\{(\w+)\}/$values{$1} \/\/ "{$1}"/ger;
}

__PACKAGE__->meta->make_immutable;

package MailhiveAdapter::AsPublished;

# Some calls of the suite are as drafts of RFC 8620 and RFC 8621 had them.  The
# tests are as good with what became of these arguments.
use Moo::Role;

around request => sub {
  my ($request, $self, $input) = @_;
  my %object = ref $input eq 'ARRAY' ? (methodCalls => $input) : %$input;
  $object{methodCalls} = [ map { _as_published(@$_) } @{ $object{methodCalls} } ];
  return $self->$request(\%object);
};

sub _as_published {
  my ($name, $arguments, @id) = @_;
  my %as_published = %{ $arguments // {} };

  # RFC 8620 §5.5: no total unless it is asked for.
  $as_published{calculateTotal} //= JSON::true if $name =~ m{/query\z};

  # RFC 8621 §2.5 has another name for it.
  $as_published{onDestroyRemoveEmails} = delete $as_published{onDestroyRemoveMessages}
    if exists $as_published{onDestroyRemoveMessages};

  return [ $name, \%as_published, @id ];
}

1;
