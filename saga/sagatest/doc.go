/*
Package sagatest helps to test sagas. It has three parts.

[Conform] is the conformance suite for kinds of steps: whatever implements
[saga.Step] promises what its documentation says, and the suite tries each of
those promises on the real step in a real world.

[World] and [Script] are a world in memory and steps that do as they are told:
fail, hang, panic, stop half-way. The world takes note of what must never happen,
two attempts at one resource above all.

[Journal] is a journal in memory that can fail, or end its process, at any commit;
[Process] stands for that process. It ends as a killed one does: from then on
nothing that it had started changes the world.
*/
package sagatest
