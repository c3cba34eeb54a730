// Package port knows which ports a session may take, and which of them are free
// on the machine. It is made for Linux: it opens raw sockets and reads /proc/net.
//
// The arithmetic promises that two slots never want the same port. The ports of
// slot n of a service are
//
//	base + n*stride + i*max_slots*stride        i = 0 .. search
//
// of which the first is its own and the others are where it goes when that is
// taken. No two slots of a service have one in common, and [CheckLayout] says of
// which services the ranges meet.
//
// Being free is a fact of the moment. [Free] promises that nobody has the port on
// any address of the machine, of either family, at the time of asking: that it
// stays so is what leases are for. A port that is bound but not yet listened to
// is taken, and one that only has connections of a server that is gone is free:
// a session that is taken down and brought up again keeps its ports. Two
// processes that ask about the same port at the same time do not disturb each
// other.
package port
