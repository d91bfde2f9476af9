-- The demo's own tables; see prisma/demo.prisma.

create table demo_proposal (
    id uuid not null default gen_random_uuid(),
    customer text not null,
    email text not null,
    title text not null,
    amount_cents integer not null,
    created_at timestamptz(6) not null default clock_timestamp(),
    constraint demo_proposal_pkey primary key (id)
);

create table demo_proposal_copy (
    id text not null,
    customer text not null,
    title text not null,
    amount_cents integer not null,
    version bigint not null,
    constraint demo_proposal_copy_pkey primary key (id)
);
