"""System calls that the worker needs, and those that betray an attack, with their numbers.

Whatever is in neither table is answered with `ENOSYS`, as on an older kernel, so a system call
that is invented tomorrow is refused without a change here.

Source: Linux `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FATAL", "NEEDED", "numbers"]

# name, number on x86_64, number on aarch64; a dash where the machine has no such call.
# `clone`, `fcntl`, `ioctl`, `kill`, `prctl`, `prlimit64` and `tgkill`: with some arguments only.
NEEDED: Final = """
read 0 63
write 1 64
readv 19 65
writev 20 66
pread64 17 67
preadv 295 69
close 3 57
close_range 436 436
fstat 5 80
newfstatat 262 79
stat 4 -
lstat 6 -
statx 332 291
lseek 8 62
access 21 -
faccessat 269 48
faccessat2 439 439
open 2 -
openat 257 56
readlink 89 -
readlinkat 267 78
getdents 78 -
getdents64 217 61
getcwd 79 17
statfs 137 43
fstatfs 138 44
fcntl 72 25
ioctl 16 29
dup 32 23
dup2 33 -
dup3 292 24
pipe 22 -
pipe2 293 59
poll 7 -
ppoll 271 73
select 23 -
pselect6 270 72
epoll_create 213 -
epoll_create1 291 20
epoll_ctl 233 21
epoll_wait 232 -
epoll_pwait 281 22
eventfd2 290 19
fadvise64 221 223
umask 95 166
mmap 9 222
mprotect 10 226
munmap 11 215
mremap 25 216
madvise 28 233
brk 12 214
msync 26 227
mincore 27 232
membarrier 324 283
get_mempolicy 239 236
futex 202 98
futex_waitv 449 449
set_robust_list 273 99
get_robust_list 274 100
rseq 334 293
set_tid_address 218 96
arch_prctl 158 -
clone 56 220
exit 60 93
exit_group 231 94
rt_sigaction 13 134
rt_sigprocmask 14 135
rt_sigreturn 15 139
sigaltstack 131 132
rt_sigpending 127 136
rt_sigsuspend 130 133
rt_sigtimedwait 128 137
restart_syscall 219 128
pause 34 -
nanosleep 35 101
clock_nanosleep 230 115
clock_gettime 228 113
clock_getres 229 114
gettimeofday 96 169
time 201 -
times 100 153
alarm 37 -
getitimer 36 102
setitimer 38 103
getpid 39 172
gettid 186 178
getppid 110 173
getuid 102 174
geteuid 107 175
getgid 104 176
getegid 108 177
getgroups 115 158
getresuid 118 148
getresgid 120 150
getpgrp 111 -
getpgid 121 155
getsid 124 156
getpriority 140 141
uname 63 160
sysinfo 99 179
getrusage 98 165
getrlimit 97 163
prlimit64 302 261
getrandom 318 278
getcpu 309 168
sched_yield 24 124
sched_getaffinity 204 123
sched_getparam 143 121
sched_getscheduler 145 120
sched_get_priority_max 146 125
sched_get_priority_min 147 126
prctl 157 167
kill 62 129
tgkill 234 131
"""

# No honest body tries these: the process is killed, so that no handler can hide the attempt.
FATAL: Final = """
socket 41 198
socketpair 53 199
connect 42 203
bind 49 200
listen 50 201
accept 43 202
accept4 288 242
sendto 44 206
recvfrom 45 207
sendmsg 46 211
recvmsg 47 212
sendmmsg 307 269
recvmmsg 299 243
getsockname 51 204
getpeername 52 205
setsockopt 54 208
getsockopt 55 209
shutdown 48 210
fork 57 -
vfork 58 -
execve 59 221
execveat 322 281
ptrace 101 117
process_vm_readv 310 270
process_vm_writev 311 271
process_madvise 440 440
process_mrelease 448 448
kcmp 312 272
tkill 200 130
rt_sigqueueinfo 129 138
rt_tgsigqueueinfo 297 240
pidfd_open 434 434
pidfd_getfd 438 438
pidfd_send_signal 424 424
mount 165 40
umount2 166 39
mount_setattr 442 442
move_mount 429 429
open_tree 428 428
fsopen 430 430
fsconfig 431 431
fsmount 432 432
fspick 433 433
pivot_root 155 41
chroot 161 51
unshare 272 97
setns 308 268
bpf 321 280
perf_event_open 298 241
io_uring_setup 425 425
io_uring_enter 426 426
io_uring_register 427 427
io_setup 206 0
io_submit 209 2
keyctl 250 219
add_key 248 217
request_key 249 218
userfaultfd 323 282
open_by_handle_at 304 265
name_to_handle_at 303 264
memfd_create 319 279
memfd_secret 447 447
init_module 175 105
finit_module 313 273
delete_module 176 106
kexec_load 246 104
kexec_file_load 320 294
reboot 169 142
swapon 167 224
swapoff 168 225
acct 163 89
quotactl 179 60
syslog 103 116
settimeofday 164 170
clock_settime 227 112
adjtimex 159 171
clock_adjtime 305 266
sethostname 170 161
setdomainname 171 162
iopl 172 -
ioperm 173 -
personality 135 92
setuid 105 146
setgid 106 144
setreuid 113 145
setregid 114 143
setresuid 117 147
setresgid 119 149
setgroups 116 159
setfsuid 122 151
setfsgid 123 152
capset 126 91
seccomp 317 277
landlock_create_ruleset 444 444
landlock_add_rule 445 445
landlock_restrict_self 446 446
msgget 68 186
msgsnd 69 189
msgrcv 70 188
msgctl 71 187
semget 64 190
semop 65 193
semctl 66 191
semtimedop 220 192
shmget 29 194
shmat 30 196
shmctl 31 195
shmdt 67 197
mq_open 240 180
mq_unlink 241 181
fanotify_init 300 262
inotify_init 253 -
inotify_init1 294 26
"""

_COLUMNS: Final = {"x86_64": 1, "aarch64": 2}


def numbers(table: str, machine: str) -> dict[str, int]:
    """Numbers by name on `machine`, as `platform.machine` calls it.

    Raises:
        KeyError: the machine is not one of the two.
    """
    column = _COLUMNS[machine]
    rows = (line.split() for line in table.split("\n") if line)
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
