/*
Package postgres makes and drops databases on a PostgreSQL server.

A [Server] is where they are, and as whom; it comes from the URL of one of them.
[Server.Connect] waits until the server takes connections. A [Conn] looks at
databases, creates, locks, labels and drops them, and never connects to the ones
that it works on: a connection would make them busy.

Four facts shape it:

  - A client that is killed does not stop the server: its CREATE DATABASE goes on,
    and what it makes is not to be seen until it is whole. So whoever creates or
    drops holds a lock on the name ([Conn.Lock]), which the server keeps until the
    dead client's statement has ended too. Connections ask the server to look for
    their client meanwhile.
  - Nobody can be connected to a database that is copied. [Conn.Create] waits for
    that, names who stands in the way, and ends nobody's connection.
  - A database has no attributes of our own but its comment: [Info.Comment] is the
    only proof of whose it is, and of its being whole.
  - To rename is atomic. A template ([Conn.Template]) is made under another name, so
    that one which has its name is complete.

No message has a password in it.
*/
package postgres
