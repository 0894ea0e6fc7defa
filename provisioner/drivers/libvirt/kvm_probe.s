# The program that proves KVM: a disk image that boots in BIOS mode and tells its progress on the first serial port.
#
# It uses what every Linux kernel uses from its first moment: real, protected and long mode, exceptions, page faults, the two
# timers, user mode, vector and BMI2 instructions, and a loop that a processor finishes in milliseconds and an interpreter of
# instructions does not. Each part that works prints one line; after the last it prints "hikube-probe: proven" again and again.
# A part that fails leaves the processor halted.
#
#   as --64 -o p.o kvm_probe.s && ld -m elf_x86_64 -Ttext=0x7c00 --oformat=binary -e _start -o p.img p.o
#
# kvm_probe_image.py holds the result; a test assembles this file and compares.
#
# Memory: 0x7c00 program   0x10000 PML4   0x11000 PDPT   0x12000 PD of 0-1 GiB   0x13000 PD of 1-2 GiB (filled on a page fault)
#         0x14000 PD of 3-4 GiB (APIC)    0x15000 IDT    0x16000 TSS    stacks below 0x7c00 (kernel) and 0x20000 (user)

        .intel_syntax noprefix
        .set    SERIAL, 0x3f8
        .set    PML4, 0x10000
        .set    PDPT, 0x11000
        .set    PD_LOW, 0x12000
        .set    PD_FAULT, 0x13000
        .set    PD_APIC, 0x14000
        .set    IDT, 0x15000
        .set    TSS, 0x16000
        .set    USER_STACK, 0x20000
        .set    APIC, 0xfee00000
        .set    PRESENT_WRITABLE_USER, 7
        .set    BIG_PAGE, 0x80
        .set    UNCACHED, 0x10
        .set    LOOPS, 4000000

        .text
        .code16
        .globl  _start
_start: cli
        cld
        ljmp    0, offset real
real:   xor     ax, ax
        mov     ds, ax
        mov     [disk_number], dl
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        mov     bx, offset said_started
1:      mov     dx, SERIAL + 5
2:      in      al, dx
        test    al, 0x20
        jz      2b
        mov     al, [bx]
        inc     bx
        mov     dx, SERIAL
        out     dx, al
        cmp     al, 10
        jne     1b
        mov     dl, [disk_number]
        mov     si, offset disk_packet
        mov     ah, 0x42
        int     0x13                    # read the rest of the program
        jc      stop16
        lgdt    [gdt_pointer]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        ljmp    0x08, offset protected
stop16: hlt
        jmp     stop16

said_started:
        .ascii  "hikube-probe: started\r\n"
disk_number:
        .byte   0
        .balign 4
disk_packet:
        .byte   16, 0
        .word   7                       # sectors
        .word   0x7e00, 0               # to offset, segment
        .quad   1                       # from
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt

        .org    510
        .word   0xaa55

# ---- from here on: read from disk by the boot sector

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff      # 0x08 code, 32 bits
        .quad   0x00cf92000000ffff      # 0x10 data
        .quad   0x00af9a000000ffff      # 0x18 code, 64 bits
        .quad   0x00cff2000000ffff      # 0x20 user data
        .quad   0x00affa000000ffff      # 0x28 user code, 64 bits
        .quad   0x0000890160000067      # 0x30 TSS at 0x16000
        .quad   0
gdt_end:
idt_pointer:
        .word   0x0fff
        .quad   IDT

        .code32
protected:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        xor     eax, eax                # clear tables, IDT and TSS
        mov     edi, PML4
        mov     ecx, 0x7000 / 4
        rep stosd
        mov     dword ptr [PML4], PDPT + PRESENT_WRITABLE_USER
        mov     dword ptr [PDPT], PD_LOW + PRESENT_WRITABLE_USER
        mov     dword ptr [PDPT + 24], PD_APIC + PRESENT_WRITABLE_USER
        mov     dword ptr [PD_APIC + ((APIC >> 21) & 511) * 8], APIC + BIG_PAGE + UNCACHED + PRESENT_WRITABLE_USER
        mov     eax, BIG_PAGE + PRESENT_WRITABLE_USER
        mov     edi, PD_LOW
        mov     ecx, 512
fill:   mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        loop    fill
        mov     eax, cr4
        or      eax, 0x620              # PAE, OSFXSR, OSXMMEXCPT
        mov     cr4, eax
        mov     eax, PML4
        mov     cr3, eax
        mov     ecx, 0xc0000080         # EFER
        rdmsr
        or      eax, 0x100              # long mode
        wrmsr
        mov     eax, cr0
        and     eax, 0xfffffffb         # no FPU emulation
        or      eax, 0x80000002         # paging, monitor coprocessor
        mov     cr0, eax
        ljmp    0x18, offset long_mode

        .code64
long_mode:
        mov     rsp, 0x7c00
        lea     rsi, [rip + said_long_mode]
        call    say

# exceptions
        lidt    [idt_pointer]
        mov     qword ptr [TSS + 4], 0x7000     # rsp0
        mov     ax, 0x30
        ltr     ax
        mov     eax, 6
        lea     rbx, [rip + on_invalid_opcode]
        mov     ecx, 0x8e00
        call    gate
        xor     r15d, r15d
        ud2
        cmp     r15d, 1
        jne     stop
        lea     rsi, [rip + said_exceptions]
        call    say

# paging: 1 GiB is not mapped until somebody goes there; then it is the memory at 2 MiB
        mov     eax, 14
        lea     rbx, [rip + on_page_fault]
        mov     ecx, 0x8e00
        call    gate
        mov     rbx, 0x40000000
        mov     dword ptr [rbx + 0x1234], 0x48494b55
        cmp     dword ptr [0x201234], 0x48494b55
        jne     stop
        lea     rsi, [rip + said_paging]
        call    say

# the old timer
        mov     eax, 32
        lea     rbx, [rip + on_old_timer]
        mov     ecx, 0x8e00
        call    gate
        mov     al, 0x11                # both interrupt controllers: begin at vector 32
        out     0x20, al
        out     0xa0, al
        mov     al, 32
        out     0x21, al
        mov     al, 40
        out     0xa1, al
        mov     al, 4
        out     0x21, al
        mov     al, 2
        out     0xa1, al
        mov     al, 1
        out     0x21, al
        out     0xa1, al
        mov     al, 0xfe                # only the timer
        out     0x21, al
        mov     al, 0xff
        out     0xa1, al
        mov     al, 0x34                # 100 ticks a second
        out     0x43, al
        mov     al, 0x9c
        out     0x40, al
        mov     al, 0x2e
        out     0x40, al
        xor     r14d, r14d
        sti
1:      hlt
        cmp     r14d, 5
        jb      1b
        lea     rsi, [rip + said_interrupts]
        call    say

# the processor's own timer
        mov     eax, 33
        lea     rbx, [rip + on_apic_timer]
        mov     ecx, 0x8e00
        call    gate
        mov     eax, 255
        lea     rbx, [rip + on_spurious]
        mov     ecx, 0x8e00
        call    gate
        xor     r13d, r13d
        mov     ebx, APIC
        mov     dword ptr [rbx + 0xf0], 0x1ff   # on
        mov     dword ptr [rbx + 0x3e0], 3      # a tick is 16 clocks
        mov     dword ptr [rbx + 0x320], 33     # once
        mov     dword ptr [rbx + 0x380], 100000
2:      hlt
        test    r13d, r13d
        jz      2b
        lea     rsi, [rip + said_apic]
        call    say

# user mode and back
        mov     eax, 0x80
        lea     rbx, [rip + on_call_from_user]
        mov     ecx, 0xee00
        call    gate
        xor     r12d, r12d
        mov     r11, rsp
        push    0x23
        push    USER_STACK
        push    0x202
        push    0x2b
        lea     rax, [rip + user]
        push    rax
        iretq
user:   mov     r12d, 0x1234
        int     0x80
back:   mov     rsp, r11
        sti
        cmp     r12d, 0x1234
        jne     stop
        lea     rsi, [rip + said_user_mode]
        call    say

# vector instructions, and BMI2 and AVX where the processor says that it has them
        mov     eax, 0x01020304
        movd    xmm0, eax
        paddd   xmm0, xmm0
        pshufd  xmm1, xmm0, 0
        movd    eax, xmm1
        cmp     eax, 0x02040608
        jne     stop
        xor     eax, eax
        cpuid
        cmp     eax, 7
        jb      4f
        mov     eax, 7
        xor     ecx, ecx
        cpuid
        bt      ebx, 8
        jnc     3f
        mov     ecx, 4
        mov     eax, 3
        shlx    edx, eax, ecx
        cmp     edx, 48
        jne     stop
3:      mov     eax, 1
        cpuid
        and     ecx, 0x14000000         # XSAVE and AVX
        cmp     ecx, 0x14000000
        jne     4f
        mov     rax, cr4
        or      eax, 0x40000            # OSXSAVE
        mov     cr4, rax
        xor     ecx, ecx
        xor     edx, edx
        mov     eax, 7
        xsetbv
        vpaddd  xmm2, xmm0, xmm0
        vmovd   eax, xmm2
        cmp     eax, 0x04080c10
        jne     stop
4:      lea     rsi, [rip + said_vectors]
        call    say

# speed
        mov     ecx, LOOPS
5:      dec     ecx
        jnz     5b
        lea     rsi, [rip + said_speed]
        call    say

proven: lea     rsi, [rip + said_proven]
        call    say
        xor     r14d, r14d
6:      hlt
        cmp     r14d, 10
        jb      6b
        jmp     proven

stop:   cli
        hlt
        jmp     stop

# say: print "hikube-probe: " and the text at rsi
say:    push    rsi
        lea     rsi, [rip + prefix]
        call    print
        pop     rsi
print:  mov     dx, SERIAL + 5
7:      in      al, dx
        test    al, 0x20
        jz      7b
        lodsb
        test    al, al
        jz      8f
        mov     dx, SERIAL
        out     dx, al
        jmp     print
8:      ret

# gate: vector eax leads to rbx, attributes ecx
gate:   shl     eax, 4
        add     eax, IDT
        mov     [rax], bx
        mov     word ptr [rax + 2], 0x18
        mov     [rax + 4], cx
        shr     rbx, 16
        mov     [rax + 6], bx
        shr     rbx, 16
        mov     [rax + 8], ebx
        ret

on_invalid_opcode:
        inc     r15d
        add     qword ptr [rsp], 2
        iretq
on_page_fault:
        mov     dword ptr [PD_FAULT], 0x200000 + BIG_PAGE + PRESENT_WRITABLE_USER
        mov     dword ptr [PDPT + 8], PD_FAULT + PRESENT_WRITABLE_USER
        add     rsp, 8                  # the error code
        iretq
on_old_timer:
        inc     r14d
        push    rax
        mov     al, 0x20
        out     0x20, al
        pop     rax
        iretq
on_apic_timer:
        inc     r13d
        push    rax
        mov     eax, APIC
        mov     dword ptr [rax + 0xb0], 0
        pop     rax
        iretq
on_spurious:
        iretq
on_call_from_user:
        jmp     back

prefix: .asciz  "hikube-probe: "
said_long_mode:
        .asciz  "long mode\r\n"
said_exceptions:
        .asciz  "exceptions\r\n"
said_paging:
        .asciz  "paging\r\n"
said_interrupts:
        .asciz  "interrupts\r\n"
said_apic:
        .asciz  "local timer\r\n"
said_user_mode:
        .asciz  "user mode\r\n"
said_vectors:
        .asciz  "vector instructions\r\n"
said_speed:
        .asciz  "speed\r\n"
said_proven:
        .asciz  "proven\r\n"

        .org    4096
